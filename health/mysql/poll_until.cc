#include "health/mysql/poll_until.h"

#include <algorithm>
#include <cerrno>

#include "health/mysql/boot_clock.h"

namespace pointsman::mysql {

bool poll_until(std::span<pollfd> fds, core::Instant deadline) {
  for (;;) {
    const auto left = std::max(deadline - boot_now(), core::Duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    const int ready = ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    if (ready > 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    for (auto& entry : fds) entry.revents = 0;
    if (ready == 0 && boot_now() < deadline) continue;
    return false;
  }
}

}  // namespace pointsman::mysql
