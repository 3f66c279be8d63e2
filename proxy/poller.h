#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/io/loop.h"
#include "proxy/ring.h"

namespace pointsman::proxy {

// What a worker's thread waits in. With a Ring it waits there, for the relay's bytes; everything else, the
// listening sockets and the libuv loop with its timers and mailboxes, is in an epoll instance that is one
// more descriptor to the ring. Without one it waits in that instance, which has the relay's sockets, too. So
// what happens a hundred thousand times a second goes from the kernel to its stream directly. Worker's
// thread.
class Poller final : private Ring::User {
 public:
  // What ends inside its own callbacks.
  class Deletable {
   public:
    Deletable() = default;
    Deletable(const Deletable&) = delete;
    Deletable& operator=(const Deletable&) = delete;
    virtual ~Deletable() = default;
  };

  // Deleted by defer_delete() or in a callback of the loop, and so never while events are handed out: of
  // those some may still be for one that is forgotten, which ignores them.
  class Watched : public Deletable {
   private:
    friend Poller;
    // epoll's events; none: as it asked for by again().
    virtual void on_ready(std::uint32_t events) = 0;
    bool asked_again_ = false;
  };

  static std::expected<std::unique_ptr<Poller>, std::string> create(io::Loop& loop);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Each is an errno, 0 when done. `events` as epoll_ctl(2) takes them, edge-triggered or not.
  int watch(int fd, std::uint32_t events, Watched& watched);
  int change(int fd, std::uint32_t events, Watched& watched);
  // Before `fd` is closed: a child that has not come to its exec yet would keep the entry alive.
  void forget(int fd, Watched& watched);
  // In the next turn, after what is new, as if an event had come.
  void again(Watched& watched);
  // Takes that back.
  void no_more(Watched& watched);
  // Before run(), on the same thread; until its end.
  void use(std::unique_ptr<Ring> ring) { ring_ = std::move(ring); }
  // nullptr: there is none.
  Ring* ring() const { return ring_.get(); }
  // What was asked of the ring is done before this returns, as far as it has not to be waited for.
  void submit();

  // At the end of this turn, from the top of run(), or with the poller. Like Loop::defer_delete(), but the
  // loop need not run for it.
  void defer_delete(std::unique_ptr<Deletable> object) { garbage_.push_back(std::move(object)); }

  // Until stop(). The loop has a handle that keeps it alive, or this spins.
  void run();
  void stop() { stopped_ = true; }

  // How many times it has waited.
  std::uint64_t turn() const { return turn_; }

 private:
  Poller(io::Loop& loop, int fd) : loop_(loop), fd_(fd) {}
  int loop_timeout_ms() const;
  // Both: whether the loop has something to do.
  bool wait(int timeout_ms);
  bool wait_in_epoll(int timeout_ms);
  void on_polled() override;
  void serve_again();
  void collect();

  io::Loop& loop_;
  const int fd_;
  std::unique_ptr<Ring> ring_;
  bool in_ring_ = false;           // the ring watches fd_
  bool has_news_ = false;          // fd_ has, which the ring told
  std::vector<Watched*> again_;    // those of the next turn
  std::vector<Watched*> serving_;  // those of this one; nullptr: forgotten meanwhile
  std::vector<std::unique_ptr<Deletable>> garbage_;
  std::uint64_t turn_ = 0;
  bool stopped_ = false;
};

}  // namespace pointsman::proxy
