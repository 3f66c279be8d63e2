#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pointsman::setup {

// Reads along in the text that mariadb-dump writes, for what its comments say: the GTID position of the
// snapshot, which table it is at, whether it came to its end. Sans I/O; takes any bytes; keeps at most
// max_line of a line.
class DumpScanner {
 public:
  void feed(std::string_view bytes);

  std::uint64_t bytes() const { return bytes_; }
  // "0-1-100", "" for a server without a transaction; nullopt: the dump has not said it.
  const std::optional<std::string>& position() const { return position_; }
  // "db.table" of the one that it is at, "" before the first.
  std::string table() const;
  // Its last line says that the dump is whole. A text in somebody's data or code may say so too, but is not
  // the last line.
  bool complete() const { return complete_; }

  static constexpr std::size_t max_line = 512;

 private:
  void end_of_line();

  std::string line_;  // the first bytes of the unfinished line
  std::uint64_t bytes_ = 0;
  std::optional<std::string> position_;
  std::string database_;
  std::string table_;
  bool in_data_ = false;             // past the header
  bool in_header_position_ = false;  // the position stood there
  bool complete_ = false;
};

}  // namespace pointsman::setup
