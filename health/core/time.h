#pragma once

#include <chrono>
#include <cstdint>

// Time as the decision core sees it: handed in, never read. In the daemon it is CLOCK_BOOTTIME, in the
// simulated world a counter.
namespace pointsman::core {

using Duration = std::chrono::nanoseconds;

// A clock without now(): code in health/core cannot read it even by mistake.
struct MonotonicClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};

using Instant = MonotonicClock::time_point;

inline std::int64_t to_ms(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
inline double to_ms_exact(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

}  // namespace pointsman::core
