#pragma once

#include <cstdint>
#include <map>

#include "health/core/time.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/shared_state.h"

namespace pointsman::proxy {

// The clients of one worker that wait for a server, in the order of their accept. Worker's thread; holds
// references only, the sessions belong to the worker.
//
// It lets them go when a route is open, at the rate that all workers share, and tells them when hold_timeout,
// counted from their accept, is over. While the backend refuses connects, it waits between attempts
// (backoff), so that a thousand clients do not hammer a server that is about to be declared dead.
class HoldQueue {
 public:
  static constexpr core::Duration first_backoff = std::chrono::milliseconds(20);
  static constexpr core::Duration longest_backoff = std::chrono::milliseconds(200);

  class Held {
   public:
    Held() = default;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    // Both are called after it left the queue; it may come back from within.
    virtual void on_release() = 0;
    virtual void on_hold_timeout() = 0;

   protected:
    ~Held() = default;
  };

  HoldQueue(io::Loop& loop, Shared& shared, Counter& held_counter);
  ~HoldQueue();
  HoldQueue(const HoldQueue&) = delete;
  HoldQueue& operator=(const HoldQueue&) = delete;

  // `id` grows with the time of accept; one that comes back takes its old place. False: max_held wait
  // already.
  bool add(std::uint64_t id, core::Instant accepted, Held& held);
  // Without effect when it is not held.
  void remove(std::uint64_t id);

  // A new route is open: whatever was known of the old one's backend is forgotten, releases begin at once.
  void open();
  // No route, releases end.
  void shut();
  // hold_timeout or release_rate changed.
  void limits_changed();

  // A new client may go to the backend without waiting here. It need not queue behind those that wait: only
  // the backlog of an outage is released slowly, or a steady stream of new clients above release_rate would
  // be held for ever.
  bool admits() const;

  // What a connect that began at `began` came to.
  void backend_failed(core::Instant began);
  void backend_answered() { backoff_ = core::Duration::zero(); }

 private:
  struct Waiting {
    core::Instant accepted;
    Held* held = nullptr;
  };

  Held& take_first();
  void release_due();
  void expire_due();
  void arm_expiry();

  Shared& shared_;
  Counter& held_counter_;
  std::map<std::uint64_t, Waiting> waiting_;
  bool open_ = false;
  core::Duration backoff_{};
  core::Instant backoff_began_{};
  core::Instant backoff_until_{};
  io::Timer release_timer_;
  io::Timer expiry_timer_;
};

}  // namespace pointsman::proxy
