#include "health/copy/words.h"

#include <algorithm>
#include <charconv>

namespace pointsman::copy {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::expected<std::string, std::string> plain(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    ++i;
    if (i == text.size() || (text[i] != '\\' && text[i] != 'n')) return std::unexpected("a wrong escape");
    out += text[i] == 'n' ? '\n' : '\\';
  }
  return out;
}

// Takes a line, without its end, from the front.
std::expected<std::string_view, std::string> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::unexpected("a line without an end");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::string Words::value(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() ? "" : found->second;
}

std::uint64_t Words::number(const std::string& name) const {
  const std::string text = value(name);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

std::string encode(const Words& words) {
  std::string out = words.verb + "\n";
  for (const auto& [name, text] : words.values) out.append(name).append("=").append(escaped(text)) += '\n';
  return out;
}

std::expected<Words, std::string> decode(std::string_view text) {
  if (text.size() > max_words) return std::unexpected("too long");
  const auto verb = take_line(text);
  if (!verb) return std::unexpected(verb.error());
  if (!is_name(*verb)) return std::unexpected("no verb");
  Words words{.verb = std::string(*verb)};
  while (!text.empty()) {
    const auto line = take_line(text);
    if (!line) return std::unexpected(line.error());
    const std::size_t at = line->find('=');
    if (at == std::string_view::npos || !is_name(line->substr(0, at))) return std::unexpected("no name");
    auto value = plain(line->substr(at + 1));
    if (!value) return std::unexpected(value.error());
    if (!words.values.emplace(line->substr(0, at), std::move(*value)).second)
      return std::unexpected("a name that comes twice");
  }
  return words;
}

}  // namespace pointsman::copy
