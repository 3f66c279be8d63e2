#pragma once

#include <chrono>
#include <csignal>

namespace pointsman::proxy::cli {

// Signals as something to wait for, next to a key and a time; for commands that go on until a person ends
// them. Blocks them for the whole process. One thread.
class Signals {
 public:
  enum class Wake { time, end, stop, resize, key };

  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Readable as soon as a signal waits; for AdminClient::receive.
  int fd() const { return fd_; }
  // `key_fd` < 0: no keys. `end`: Ctrl-C, SIGTERM, SIGHUP; `stop`: Ctrl-Z.
  Wake wait(std::chrono::milliseconds time, int key_fd);
  // Stops the process as Ctrl-Z would have; returns when it is continued.
  void stop_here();

 private:
  int fd_ = -1;
};

}  // namespace pointsman::proxy::cli
