#pragma once

#include <span>

#include <poll.h>

#include "health/core/time.h"

namespace pointsman::mysql {

// poll(2) with a deadline on our clock and to the nanosecond. True: a descriptor is ready (see revents).
// False: the deadline passed, and every revents is zero.
bool poll_until(std::span<pollfd> fds, core::Instant deadline);

}  // namespace pointsman::mysql
