#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "health/core/time.h"

namespace pointsman::proxy {

// Lets held clients go at a rate, all workers together, so that a new primary does not get all of them in one
// moment. Lock-free, any thread.
//
// The generic cell rate algorithm: one number, the time at which the next release would be due at an even
// pace. A release may run ahead of it by `burst`, so the first ones go at once and a late timer loses
// nothing.
class ReleaseBucket {
 public:
  static constexpr core::Duration burst = std::chrono::milliseconds(50);

  // Releases per second; 0: no limit.
  void set_rate(unsigned per_second) {
    interval_ns_.store(per_second == 0 ? 0 : std::int64_t{1'000'000'000} / per_second,
                       std::memory_order_relaxed);
  }

  // nullopt: one release is granted. Otherwise how long to wait before asking again.
  std::optional<core::Duration> take(core::Instant now) {
    const std::int64_t interval = interval_ns_.load(std::memory_order_relaxed);
    const std::int64_t now_ns = now.time_since_epoch().count();
    std::int64_t due = due_ns_.load(std::memory_order_relaxed);
    for (;;) {
      const std::int64_t ahead = due - now_ns - burst.count();
      if (ahead > 0 && interval > 0) return core::Duration(ahead);
      const std::int64_t next = (due > now_ns ? due : now_ns) + interval;
      if (due_ns_.compare_exchange_weak(due, next, std::memory_order_relaxed)) return std::nullopt;
    }
  }

 private:
  std::atomic<std::int64_t> interval_ns_{0};
  std::atomic<std::int64_t> due_ns_{0};
};

}  // namespace pointsman::proxy
