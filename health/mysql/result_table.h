#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pointsman::mysql {

// A whole answer of the server, small by construction (Client limits it). Columns are found by name, never by
// index: the SHOW statements of both products change their columns from release to release.
class ResultTable {
 public:
  void add_column(std::string name) { columns_.push_back(std::move(name)); }
  void add_row(std::vector<std::optional<std::string>> row) { rows_.push_back(std::move(row)); }

  std::size_t rows() const { return rows_.size(); }
  std::size_t columns() const { return columns_.size(); }
  bool empty() const { return rows_.empty(); }

  // nullopt: SQL NULL, no such column, no such row. Names compare without case.
  std::optional<std::string_view> get(std::size_t row, std::string_view column) const;
  // The first of `names` that exists, for columns that were renamed.
  std::optional<std::string_view> get(std::size_t row, std::initializer_list<std::string_view> names) const;
  std::optional<std::string_view> at(std::size_t row, std::size_t column) const;

  std::string text(std::size_t row, std::initializer_list<std::string_view> names) const;  // "" for NULL
  std::uint64_t number(std::size_t row,
                       std::initializer_list<std::string_view> names) const;        // 0 for NULL or no number
  bool flag(std::size_t row, std::initializer_list<std::string_view> names) const;  // 1, ON, YES

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::optional<std::string>>> rows_;
};

std::uint64_t to_number(std::string_view text);  // 0 when it is none
bool to_flag(std::string_view text);             // 1, ON, YES in any case
bool equal_nocase(std::string_view a, std::string_view b);

}  // namespace pointsman::mysql
