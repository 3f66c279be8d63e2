#pragma once

#include <expected>
#include <memory>
#include <string>

#include <uv.h>

#include "health/io/handle.h"
#include "health/io/loop.h"

namespace pointsman::proxy {

// Notices that a peer has gone, without reading from it: for clients that wait for a server. One epoll
// instance of a worker's own, which its loop watches as one descriptor, so a waiting client costs an entry in
// the kernel and nothing here. Worker's thread.
class DisconnectWatch {
 public:
  // Owned by its session; outlives the loop iteration in which it is removed (sessions are deleted from the
  // top of the loop).
  class Watched {
   public:
    Watched() = default;
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    virtual ~Watched() = default;

   private:
    friend DisconnectWatch;
    // The peer ended its direction or the connection broke. Still in the watch; the hook removes it.
    virtual void on_disconnect() = 0;
    bool watched_ = false;
  };

  static std::expected<std::unique_ptr<DisconnectWatch>, std::string> create(io::Loop& loop);
  ~DisconnectWatch();
  DisconnectWatch(const DisconnectWatch&) = delete;
  DisconnectWatch& operator=(const DisconnectWatch&) = delete;

  // `fd` stays watched until remove(), which comes before it is closed. When the kernel has no room for an
  // entry the client is not watched, and is noticed only when something is sent to it.
  void add(int fd, Watched& watched);
  void remove(int fd, Watched& watched);

 private:
  explicit DisconnectWatch(int epoll_fd) : epoll_fd_(epoll_fd) {}
  void report();

  int epoll_fd_;
  io::Handle<uv_poll_t> poll_;
};

}  // namespace pointsman::proxy
