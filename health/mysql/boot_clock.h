#pragma once

#include "health/core/time.h"

namespace pointsman::mysql {

// CLOCK_BOOTTIME, the clock of the decision core's Instants: a host that was suspended finds its deadlines
// passed.
core::Instant boot_now();

}  // namespace pointsman::mysql
