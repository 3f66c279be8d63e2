#pragma once

#include <expected>
#include <optional>
#include <string>

#include <sys/types.h>

namespace pointsman::agent {

// Whether a process is on its way out, long before it has ended: the kernel sets a thread's flags when it
// begins to take the thread down, and only then frees memory or writes a core, which may take minutes.
//
// The process is dying only when every thread is: a thread that has ended, and be it the first one, is no
// death. So one thread that lives is kept as the witness, and as long as its flags show life, a look costs
// one read of a file that is kept open. Only when it ends are all threads looked at, for a new witness. Used
// by one thread.
class ThreadStates {
 public:
  // Error: what /proc does not let us see.
  static std::expected<ThreadStates, std::string> open(pid_t pid);
  ~ThreadStates();
  ThreadStates(ThreadStates&& other) noexcept;
  ThreadStates& operator=(ThreadStates&&) = delete;

  // Nothing of it runs any more. True for ever once it was.
  bool dying();
  // Of one that is dying: a signal ended it. Of a program that ends by itself, and be it because a signal
  // told it to, the first thread leaves last and is killed by nobody. False also when it is gone and was not
  // seen.
  bool by_signal() const;

 private:
  ThreadStates(pid_t pid, int first, int witness) : pid_(pid), first_(first), witness_(witness) {}
  bool find_witness();

  pid_t pid_;
  int first_;    // /proc/PID/stat, the first thread's; -1: it cannot be seen
  int witness_;  // /proc/PID/task/TID/stat; -1: every thread was seen to go
};

// The flags in a line of /proc/PID/stat; nullopt: it is none.
std::optional<unsigned> task_flags(std::string_view stat_line);

}  // namespace pointsman::agent
