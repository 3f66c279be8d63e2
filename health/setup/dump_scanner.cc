#include "health/setup/dump_scanner.h"

#include <algorithm>

namespace pointsman::setup {
namespace {

// What stands between `prefix` and `suffix`, when the line is of that form.
std::optional<std::string_view> between(std::string_view line, std::string_view prefix,
                                        std::string_view suffix) {
  if (!line.starts_with(prefix)) return std::nullopt;
  line.remove_prefix(prefix.size());
  if (!line.ends_with(suffix)) return std::nullopt;
  line.remove_suffix(suffix.size());
  return line;
}

}  // namespace

void DumpScanner::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    line_.append(bytes.substr(0, std::min(end, max_line - line_.size())));
    if (end == bytes.size()) return;
    end_of_line();
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void DumpScanner::end_of_line() {
  if (line_.empty()) return;
  complete_ = line_.starts_with("-- Dump completed");
  if (!line_.starts_with("-- ")) return;
  if (const auto position = between(line_, "-- SET GLOBAL gtid_slave_pos='", "';"); position) {
    // In the header, or in newer releases near the end: what code in between says does not count.
    if (!in_header_position_) position_ = std::string(*position);
    in_header_position_ = in_header_position_ || !in_data_;
  } else if (const auto database = between(line_, "-- Current Database: `", "`")) {
    in_data_ = true;
    database_ = *database;
    table_.clear();
  } else if (const auto table = between(line_, "-- Dumping data for table `", "`")) {
    in_data_ = true;
    table_ = *table;
  }
}

std::string DumpScanner::table() const {
  return table_.empty() ? database_ : database_ + "." + table_;
}

}  // namespace pointsman::setup
