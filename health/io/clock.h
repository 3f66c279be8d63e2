#pragma once

#include <ctime>

#include "health/core/time.h"

namespace pointsman::io {

// The daemon's clock: CLOCK_BOOTTIME, which also counts while the machine is suspended. Any thread. (Timers
// run on CLOCK_MONOTONIC, libuv's choice; after a suspend they fire late and the deadlines that they stand
// for have passed.)
inline core::Instant now() {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return core::Instant(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
}

}  // namespace pointsman::io
