#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pointsman::conf {

// Where something stands in a file; both count from 1, columns in code points. 0: the file as a whole.
struct Position {
  unsigned line = 0;
  unsigned column = 0;
  auto operator<=>(const Position&) const = default;
};

// One thing that is wrong with what the operator wrote.
struct Problem {
  std::string file;
  unsigned line = 0;  // 0: the file as a whole
  unsigned column = 0;
  std::string message;
  bool operator==(const Problem&) const = default;
};

// "file:line:column: message", what editors and people expect; "file: message" for the file as a whole.
std::string to_string(const Problem& problem);

// Text of others made fit for one line of a terminal or log: in double quotes, control characters and what is
// not ASCII as \xNN, and at most 60 characters of it.
std::string quoted(std::string_view text);

// Where each key of one file was written, by its full name: "proxy.listen", "proxy.listen[1]",
// "backend[0].udp". Made by the loader; handed to validate(), which has no TOML.
class Positions {
 public:
  explicit Positions(std::string file) : file_(std::move(file)) {}

  void add(const std::string& key, Position position) { at_[key] = position; }
  bool written(std::string_view key) const { return at_.contains(key); }
  // A key whose value was refused: relations with it say nothing.
  void mark_bad(const std::string& key) { bad_[key] = true; }
  bool bad(std::string_view key) const { return bad_.contains(key); }

  // The first of `keys` that was written; line 1, column 1 when none was.
  Position of(std::initializer_list<std::string_view> keys) const;
  Problem problem(Position position, std::string message) const {
    return {file_, position.line, position.column, std::move(message)};
  }

 private:
  std::string file_;
  std::map<std::string, Position, std::less<>> at_;
  std::map<std::string, bool, std::less<>> bad_;
};

}  // namespace pointsman::conf
