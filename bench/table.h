#pragma once

#include <cstddef>
#include <string>
#include <vector>

// Text for a person. Pure.
namespace pointsman::bench {

// Aligned columns: the first to the left, the others to the right, as they hold numbers.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text(std::size_t indent = 2) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// With `digits` after the point, and a group mark every three digits before it: "12,345.6".
std::string format_number(double value, int digits = 0);
// "32.6 ms".
std::string format_ms(double ms);

// How many columns of a terminal a text takes: characters of UTF-8, without escape sequences (ESC [ ...
// letter).
std::size_t width_of(const std::string& text);
// Cut to at most `width` columns; escape sequences are kept, so that colours end.
std::string cut(const std::string& text, std::size_t width);
// In lines of at most `width` columns, broken at blanks; a longer word stands alone and stays too long.
std::vector<std::string> wrap(const std::string& text, std::size_t width);
// Filled with blanks up to `width` columns.
std::string pad(const std::string& text, std::size_t width);

}  // namespace pointsman::bench
