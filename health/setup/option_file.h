#pragma once

#include <expected>
#include <string>

#include "health/setup/admin.h"

namespace pointsman::setup {

// A client program's option file that exists in memory only (memfd): its password is on no command line, in
// no environment and on no disk, and nothing is left behind however we end. One owner.
class OptionFile {
 public:
  // [client] with where the server is and the account.
  static std::expected<OptionFile, std::string> create(const Endpoint& endpoint);

  OptionFile(OptionFile&& other) noexcept;
  OptionFile& operator=(OptionFile&&) = delete;
  ~OptionFile();

  int fd() const { return fd_; }

  // What the child calls it, which has it as descriptor `child_fd`.
  static constexpr int child_fd = 3;
  static std::string argument() { return "--defaults-file=/proc/self/fd/" + std::to_string(child_fd); }

 private:
  explicit OptionFile(int fd) : fd_(fd) {}
  int fd_;
};

// `value` in the syntax of option files (manual, "Using Option Files"): in double quotes, with backslashes
// before quotes and backslashes.
std::string option_value(const std::string& value);

}  // namespace pointsman::setup
