#pragma once

#include <expected>
#include <memory>
#include <string>

#include "health/io/address.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/poller.h"

namespace pointsman::proxy {

// One listening socket of one worker. Owned by the worker, on whose thread it calls back.
//
// Accepts by itself instead of by uv_listen(), which closes waiting clients when the process is out of file
// descriptors: here they stay in the kernel's queue, and accepting pauses for a moment.
class Listener final : private Poller::Watched {
 public:
  static constexpr core::Duration pause = std::chrono::milliseconds(100);
  // Accepted per wakeup, so that a storm of clients does not keep the sessions from being served.
  static constexpr int batch = 32;

  class Events {
   public:
    Events() = default;
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;
    // A connected non-blocking socket, tuned, now the callee's. It must not destroy the listener.
    virtual void on_accept(int fd, const io::Address& peer) = 0;
    // Out of file descriptors or memory: nothing is accepted for a moment.
    virtual void on_accept_paused(int error) = 0;

   protected:
    ~Events() = default;
  };

  // Takes `fd` over, a listening socket; it is closed also on an error.
  static std::expected<std::unique_ptr<Listener>, std::string> create(io::Loop& loop, Poller& poller, int fd,
                                                                      Events& events);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Before it is closed for good: whoever waits in the queue would be reset.
  void accept_rest();

 private:
  Listener(io::Loop& loop, Poller& poller, int fd, Events& events);
  void resume();
  void on_ready(std::uint32_t events) override;
  // False: nobody waits, or accepting pauses.
  bool accept_one();

  Poller& poller_;
  const int fd_;
  Events& events_;
  io::Timer resume_timer_;
};

}  // namespace pointsman::proxy
