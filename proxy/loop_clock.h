#pragma once

#include <cstdint>

#include "health/core/time.h"
#include "health/io/clock.h"
#include "proxy/poller.h"

namespace pointsman::proxy {

// CLOCK_BOOTTIME, read at most once in a turn of the poller: for stamps in the relay's hot path. Never ahead
// of the clock, up to one turn behind. Worker's thread.
class LoopClock {
 public:
  explicit LoopClock(const Poller& poller) : poller_(poller) {}

  core::Instant now() {
    if (const std::uint64_t turn = poller_.turn(); turn != turn_) {
      turn_ = turn;
      now_ = io::now();
    }
    return now_;
  }

 private:
  const Poller& poller_;
  std::uint64_t turn_ = ~std::uint64_t{0};
  core::Instant now_{};
};

}  // namespace pointsman::proxy
