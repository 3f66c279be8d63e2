#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>
#include <uv.h>

#include "health/core/time.h"
#include "health/io/descriptor.h"
#include "health/io/handle.h"
#include "health/io/loop.h"

namespace pointsman::proxy {

// Messages between a daemon and the one that takes its place: JSON objects with file descriptors, over a
// SOCK_SEQPACKET Unix socket, which keeps their borders. One thread at a time.
class Channel {
 public:
  static constexpr std::size_t max_bytes = std::size_t{96} * 1024;
  static constexpr std::size_t max_files = 200;  // of one message; the kernel takes 253 (SCM_MAX_FD)

  struct Message {
    nlohmann::json body;
    std::vector<io::Descriptor> files;

    std::string type() const;
  };

  explicit Channel(io::Descriptor socket) : socket_(std::move(socket)) {}

  // Never blocks: a peer that has not read for so long that its queue is full is an error.
  std::expected<void, std::string> send(const nlohmann::json& body, std::span<const int> files = {}) const;
  // nullopt: nothing has come. Error: the peer has ended, or talks nonsense; nothing more comes then.
  std::expected<std::optional<Message>, std::string> receive() const;
  // Blocks until something comes.
  std::expected<Message, std::string> wait(core::Duration timeout) const;

  int fd() const { return socket_.get(); }

 private:
  io::Descriptor socket_;
};

// Calls back on the loop while there is something to read from `fd`, or its peer has left. The callback may
// destroy it.
class Watch {
 public:
  Watch(io::Loop& loop, int fd, std::function<void()> on_readable);
  ~Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // False: the kernel cannot watch it, and it never calls.
  bool works() const { return poll_ != nullptr; }

 private:
  std::function<void()> on_readable_;
  io::Handle<uv_poll_t> poll_;
};

// A process that is told from a later one of the same number.
class ProcessHandle {
 public:
  explicit ProcessHandle(pid_t pid);
  pid_t pid() const { return pid_; }
  bool ended() const;
  void kill() const;  // SIGKILL

 private:
  pid_t pid_;
  io::Descriptor handle_;  // none: it had ended
};

}  // namespace pointsman::proxy
