#include "health/mysql/result_table.h"

#include <algorithm>
#include <charconv>

namespace pointsman::mysql {
namespace {

// Not std::tolower: names and keywords are ASCII, and the process's locale must not matter.
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool equal_nocase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? value : 0;
}

bool to_flag(std::string_view text) {
  return text == "1" || equal_nocase(text, "ON") || equal_nocase(text, "YES");
}

std::optional<std::string_view> ResultTable::at(std::size_t row, std::size_t column) const {
  if (row >= rows_.size() || column >= rows_[row].size() || !rows_[row][column]) return std::nullopt;
  return *rows_[row][column];
}

std::optional<std::string_view> ResultTable::get(std::size_t row, std::string_view column) const {
  const auto found =
      std::ranges::find_if(columns_, [&](const auto& name) { return equal_nocase(name, column); });
  return at(row, static_cast<std::size_t>(found - columns_.begin()));
}

std::optional<std::string_view> ResultTable::get(std::size_t row,
                                                 std::initializer_list<std::string_view> names) const {
  for (const auto name : names) {
    if (const auto value = get(row, name)) return value;
  }
  return std::nullopt;
}

std::string ResultTable::text(std::size_t row, std::initializer_list<std::string_view> names) const {
  return std::string(get(row, names).value_or(std::string_view()));
}

std::uint64_t ResultTable::number(std::size_t row, std::initializer_list<std::string_view> names) const {
  return to_number(get(row, names).value_or(std::string_view()));
}

bool ResultTable::flag(std::size_t row, std::initializer_list<std::string_view> names) const {
  return to_flag(get(row, names).value_or(std::string_view()));
}

}  // namespace pointsman::mysql
