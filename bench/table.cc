#include "bench/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

namespace pointsman::bench {

namespace {

// The length in bytes of what begins at `at`: an escape sequence (`columns` 0) or one character (`columns`
// 1).
struct Piece {
  std::size_t bytes;
  std::size_t columns;
};

Piece piece_at(const std::string& text, std::size_t at) {
  if (text[at] == '\x1b' && at + 1 < text.size() && text[at + 1] == '[') {
    std::size_t end = at + 2;
    while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
    return {std::min(end + 1, text.size()) - at, 0};
  }
  std::size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
  return {end - at, 1};
}

}  // namespace

std::size_t width_of(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at);
    width += piece.columns;
    at += piece.bytes;
  }
  return width;
}

std::string cut(const std::string& text, std::size_t width) {
  std::string kept;
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at);
    columns += piece.columns;
    if (piece.columns == 0 || columns <= width) kept.append(text, at, piece.bytes);
    at += piece.bytes;
  }
  return kept;
}

std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return {text};  // blanks and all, as it may be a picture
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!lines.empty() && width_of(lines.back()) + 1 + width_of(word) <= width) {
      lines.back() += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

std::string pad(const std::string& text, std::size_t width) {
  const std::size_t has = width_of(text);
  return has >= width ? text : text + std::string(width - has, ' ');
}

std::string Table::text(std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == 0) {
        line += pad(row[i], widths[i]);
      } else {
        line += "  " + std::string(widths[i] - width_of(row[i]), ' ') + row[i];
      }
    }
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string format_number(double value, int digits) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, value);
  std::string text = buffer.data();
  std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  while (point > first + 3) {
    point -= 3;
    text.insert(point, 1, ',');
  }
  return text;
}

std::string format_ms(double ms) {
  return format_number(ms, 1) + " ms";
}

}  // namespace pointsman::bench
