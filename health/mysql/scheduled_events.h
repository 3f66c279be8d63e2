#pragma once

#include <expected>

#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/session.h"

// The scheduled events of a server that changes its role. Used by the command thread.
namespace pointsman::mysql {

// Enables those that replication had disabled here, each as a statement that disables it on the replicas;
// with `scheduler` starts the event scheduler as well. That it may not is an error only where there are
// events to run.
std::expected<void, core::Failure> enable_events(Session& session, bool scheduler, core::Instant deadline);

// Stops the scheduler. Not an error where our account may not, as on MariaDB without SUPER.
std::expected<void, core::Failure> stop_scheduler(Session& session, core::Instant deadline);

}  // namespace pointsman::mysql
