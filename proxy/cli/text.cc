#include "proxy/cli/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace pointsman::proxy::cli {
namespace {

std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::strong:
      return "\x1b[1m";
    case Tone::faint:
      return "\x1b[2m";
    case Tone::good:
      return "\x1b[32m";
    case Tone::caution:
      return "\x1b[33m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::alarm:
      return "\x1b[1;37;41m";
  }
  return "";
}

// A space at which no line breaks. A control character, so printable() text never has it.
constexpr char glue = '\x1f';

// Parts of a chain up to this stay on one line.
constexpr std::size_t longest_unbroken = 40;

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

std::string decimal(double value, int digits) {
  std::array<char, 400> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, digits);
  return error == std::errc{} ? std::string(buffer.data(), end) : "?";
}

std::string two_units(long long value, long long per_unit, const char* unit, const char* smaller) {
  std::string text = std::to_string(value / per_unit) + unit;
  if (value % per_unit != 0) text += ' ' + std::to_string(value % per_unit) + smaller;
  return text;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1_control =
        byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (byte == '\n' || byte == '\t' || byte == '\r') {
      clean += ' ';
    } else if (byte < 0x20 || byte == 0x7f) {
      clean += '?';
    } else if (c1_control) {
      clean += '?';
      ++i;
    } else {
      clean += text[i];
    }
  }
  return clean;
}

std::size_t columns(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, continues));
}

std::string toned(std::string_view text, Tone tone, const Style& style) {
  std::string shown(text);
  std::ranges::replace(shown, glue, ' ');
  if (!style.color || tone == Tone::plain || shown.empty()) return shown;
  return std::string(escape_of(tone)) + shown + "\x1b[0m";
}

Text& Text::add(std::string_view text, Tone tone) {
  if (text.empty()) return *this;
  if (!pieces_.empty() && pieces_.back().tone == tone) {
    pieces_.back().text += text;
  } else {
    pieces_.push_back({std::string(text), tone});
  }
  return *this;
}

Text Text::unbroken() const {
  Text text = *this;
  for (Piece& piece : text.pieces_) std::ranges::replace(piece.text, ' ', glue);
  return text;
}

Text& Text::add(const Text& other) {
  const std::vector<Piece> pieces = other.pieces_;  // other may be this
  for (const Piece& piece : pieces) add(piece.text, piece.tone);
  return *this;
}

std::size_t Text::width() const {
  std::size_t sum = 0;
  for (const Piece& piece : pieces_) sum += columns(piece.text);
  return sum;
}

std::string Text::render(const Style& style) const {
  std::string out;
  for (const Piece& piece : pieces_) out += toned(piece.text, piece.tone, style);
  return out;
}

// Puts words, each with the gap before it, on lines. A word may have pieces of different tones.
class Text::Wrapper {
 public:
  Wrapper(std::size_t width, std::size_t first, std::size_t indent)
      : width_(width), indent_(indent), column_(first) {}

  void add_gap(std::string_view spaces, Tone tone) {
    end_word();
    gap_.add(spaces, tone);
  }
  void add_to_word(std::string_view part, Tone tone) { word_.add(part, tone); }
  Text take() {
    end_word();
    return std::move(out_);
  }

 private:
  void end_word() {
    if (word_.empty()) return;
    const bool fits = column_ + gap_.width() + word_.width() <= width_;
    if (!fits && (line_has_words_ || column_ > indent_)) {
      out_.add('\n' + std::string(indent_, ' '), Tone::plain);
      column_ = indent_;
    } else {
      out_.add(gap_);
      column_ += gap_.width();
    }
    out_.add(word_);
    column_ += word_.width();
    line_has_words_ = true;
    word_ = {};
    gap_ = {};
  }

  const std::size_t width_;
  const std::size_t indent_;
  std::size_t column_;
  bool line_has_words_ = false;
  Text gap_;
  Text word_;
  Text out_;
};

std::string Text::wrap(const Style& style, std::size_t first, std::size_t indent) const {
  Wrapper wrapper(style.width, first, indent);
  for (const Piece& piece : pieces_) {
    std::string_view rest = piece.text;
    while (!rest.empty()) {
      const bool space = rest.front() == ' ';
      const std::size_t end = std::min(space ? rest.find_first_not_of(' ') : rest.find(' '), rest.size());
      const std::string_view part = rest.substr(0, end);
      if (space) {
        wrapper.add_gap(part, piece.tone);
      } else {
        wrapper.add_to_word(part, piece.tone);
      }
      rest.remove_prefix(end);
    }
  }
  return wrapper.take().render(style);
}

Chain& Chain::add(const Text& part) {
  if (part.empty()) return *this;
  if (!text_.empty()) text_.add(separator_, Tone::faint);
  text_.add(part.width() <= longest_unbroken ? part.unbroken() : part);
  return *this;
}

void Table::add(std::vector<Text> cells, std::vector<Text> notes) {
  cells.resize(columns_.size());
  rows_.push_back({std::move(cells), std::move(notes)});
}

std::size_t Table::width_of(std::size_t column) const {
  std::size_t widest = columns(columns_[column].title);
  for (const Row& row : rows_) widest = std::max(widest, row.cells[column].width());
  return widest;
}

std::size_t Table::width() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) sum += width_of(i) + (i == 0 ? 0 : 2);
  return sum;
}

void Table::drop(std::size_t column) {
  const auto offset = static_cast<std::ptrdiff_t>(column);
  columns_.erase(columns_.begin() + offset);
  for (Row& row : rows_) row.cells.erase(row.cells.begin() + offset);
}

void Table::drop_empty_columns() {
  for (std::size_t i = columns_.size(); i-- > 0;) {
    const bool silent = std::ranges::all_of(rows_, [i](const Row& row) { return row.cells[i].empty(); });
    if (silent && columns_[i].spare > 0) drop(i);
  }
}

void Table::fit(std::size_t limit) {
  while (width() > limit) {
    const auto most = std::ranges::max_element(columns_, {}, &Column::spare);
    if (most == columns_.end() || most->spare == 0) return;
    drop(static_cast<std::size_t>(most - columns_.begin()));
  }
}

std::string Table::render(const Style& style) const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) widths.push_back(width_of(i));
  const auto line = [&](const std::vector<Text>& cells) {
    std::string out;
    std::size_t owed = 0;  // spaces before the next thing that is written, so that no line ends with any
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::size_t pad = widths[i] - cells[i].width();
      const bool right = columns_[i].align == Column::Align::right;
      if (right) owed += pad;
      if (!cells[i].empty()) out += std::string(std::exchange(owed, 0), ' ') + cells[i].render(style);
      owed += (right ? 0 : pad) + 2;
    }
    return out + '\n';
  };
  std::vector<Text> heading;
  heading.reserve(columns_.size());
  for (const Column& column : columns_) heading.emplace_back(column.title, Tone::faint);
  std::string out = line(heading);
  for (const Row& row : rows_) {
    out += line(row.cells);
    for (const Text& note : row.notes) out += "    " + note.wrap(style, 4, 6) + '\n';
  }
  return out;
}

std::string human_ms(double ms) {
  if (!(ms >= 0)) return "?";
  if (ms < 10 && ms != std::floor(ms)) return decimal(ms, 1) + " ms";
  if (ms < 1000) return decimal(ms, 0) + " ms";
  if (ms < 60'000) {
    const double seconds = std::floor(ms / 100) / 10;
    return decimal(seconds, seconds == std::floor(seconds) ? 0 : 1) + " s";
  }
  if (ms > 1e15) return "?";
  const auto seconds = static_cast<long long>(ms / 1000);
  if (seconds < 3600) return two_units(seconds, 60, " min", " s");
  if (seconds < 86'400) return two_units(seconds / 60, 60, " h", " min");
  return two_units(seconds / 3600, 24, " d", " h");
}

std::string exact_ms(double ms) {
  return ms < 10'000 ? decimal(ms, 1) + " ms" : human_ms(ms);
}

std::string human_bytes(double bytes) {
  static constexpr std::array units{" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return decimal(bytes, unit == 0 ? 0 : 1) + units[unit];
}

std::string bar(double part, double whole, std::size_t length, const Style& style) {
  if (!(part > 0) || !(whole > 0)) return "";
  const double share = std::min(1.0, part / whole) * static_cast<double>(length);
  if (!style.unicode)
    return std::string(std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(share))), '#');
  static constexpr std::array eighths{"",       "\u258f", "\u258e", "\u258d",
                                      "\u258c", "\u258b", "\u258a", "\u2589"};
  const auto parts = std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(share * 8)));
  std::string out;
  for (std::size_t i = 0; i < parts / 8; ++i) out += "\u2588";
  return out + eighths[parts % 8];
}

}  // namespace pointsman::proxy::cli
