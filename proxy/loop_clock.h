#pragma once

#include <cstdint>

#include <uv.h>

#include "health/core/time.h"
#include "health/io/clock.h"

namespace pointsman::proxy {

// CLOCK_BOOTTIME as of the loop's current iteration, read at most once per millisecond: for stamps in the
// relay's hot path. Never ahead of the clock, up to 1 ms and one iteration behind. Worker's thread.
class LoopClock {
 public:
  explicit LoopClock(uv_loop_t* loop) : loop_(loop) {}

  core::Instant now() {
    if (const std::uint64_t tick = uv_now(loop_); tick != tick_) {
      tick_ = tick;
      now_ = io::now();
    }
    return now_;
  }

 private:
  uv_loop_t* loop_;
  std::uint64_t tick_ = ~std::uint64_t{0};
  core::Instant now_{};
};

}  // namespace pointsman::proxy
