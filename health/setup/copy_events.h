#pragma once

#include "health/setup/admin.h"

namespace pointsman::setup {

// Scheduled events that came with a copy are enabled as on the primary and would run on both. Afterwards they
// are as if they had come by replication, and the next promotion enables them. Their definers stay. On a
// read-only server; the session no longer writes to the binary log.
Outcome disable_events(Admin& admin);

}  // namespace pointsman::setup
