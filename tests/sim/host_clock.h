#pragma once

#include <cstdint>

#include "health/core/time.h"

namespace pointsman::sim {

// The clock of one host: began somewhere, and runs a little too fast or too slow. The world's own time is the
// proxy's.
class HostClock {
 public:
  HostClock() = default;
  // Shows `shown` at `now`; gains `ppm` millionths, negative: loses.
  HostClock(core::Instant now, core::Instant shown, std::int64_t ppm) : now_(now), shown_(shown), ppm_(ppm) {}

  core::Instant at(core::Instant time) const {
    const core::Duration passed = time - now_;
    return shown_ + passed + passed / million * ppm_;
  }
  // The first moment, up to a microsecond, at which it shows `shown` or more.
  core::Instant when(core::Instant shown) const {
    const core::Duration passes = shown - shown_;
    core::Instant time = now_ + passes - passes / (million + ppm_) * ppm_;
    while (at(time) < shown) time += std::chrono::microseconds(1);
    return time;
  }

 private:
  static constexpr std::int64_t million = 1'000'000;
  core::Instant now_;
  core::Instant shown_;
  std::int64_t ppm_ = 0;
};

}  // namespace pointsman::sim
