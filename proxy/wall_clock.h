#pragma once

#include <chrono>
#include <cstdint>

namespace pointsman::proxy {

// For records that people read; nothing is ever decided by it. Milliseconds since 1970.
inline std::int64_t wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace pointsman::proxy
