#include "health/mysql/boot_clock.h"

#include <time.h>

namespace pointsman::mysql {

core::Instant boot_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return core::Instant(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace pointsman::mysql
