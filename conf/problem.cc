#include "conf/problem.h"

#include <array>

namespace pointsman::conf {

std::string to_string(const Problem& problem) {
  if (problem.line == 0) return problem.file + ": " + problem.message;
  return problem.file + ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": " +
         problem.message;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t max_shown = 60;
  constexpr std::array digits{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  std::string shown = "\"";
  for (const char c : text.substr(0, max_shown)) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      shown += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      shown += {'\\', 'x', digits.at(byte >> 4U), digits.at(byte & 15U)};
    }
  }
  return shown + (text.size() > max_shown ? "\"..." : "\"");
}

Position Positions::of(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (const auto found = at_.find(key); found != at_.end()) return found->second;
  }
  return {1, 1};
}

}  // namespace pointsman::conf
