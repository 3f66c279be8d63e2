#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "health/io/descriptor.h"

namespace pointsman::copy {

// One child process in a group of its own, with no terminal to read from. Killed and waited for by the
// destructor. One thread.
class Child {
 public:
  enum class Data { none, child_reads, child_writes };
  struct Program {
    std::vector<std::string> argv;  // looked up in PATH
    Data data = Data::none;         // its standard input or output is `data`
    int options_fd = -1;            // becomes its descriptor 3
    int lock_fd = -1;               // becomes its descriptor 4: a lock that lives as long as the last of us
    std::string input{};            // not with data: what it reads from standard input
    bool polite = false;            // yields processor and disk to others
    // It may leave a daemon behind that keeps its standard error, and must not be hurt by our going away:
    // what it complains of is read when it has ended.
    bool leaves_daemon = false;
  };

  Child() = default;
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::expected<void, std::string> start(const Program& program);
  void kill() const;  // with all that it has started
  // "" when it ended well; else how it ended, and what it complained of. Blocks until it has ended.
  std::string wait();
  bool ended() const;  // wait() will not block
  void listen();       // its complaints; never blocks
  const std::string& said() const { return said_; }
  bool started() const { return pid_ > 0; }

  // Hears all of its complaints, a piece at a time with the end of what came before; from listen().
  std::function<void(std::string_view)> on_said;

  io::Descriptor data;        // non-blocking
  io::Descriptor complaints;  // its standard error
  io::Descriptor end;         // readable when it has ended

  static constexpr std::size_t max_complaint = 2048;  // bytes of its standard error, the last ones

 private:
  std::string name_;
  pid_t pid_ = 0;
  std::string said_;
  io::Descriptor report_;  // standard error of one that leaves a daemon
};

// Whether a program is found in PATH, or is there when it is a path.
bool is_program(std::string_view name);

}  // namespace pointsman::copy
