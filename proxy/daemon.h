#pragma once

#include "conf/config.h"

namespace pointsman::proxy {

// `pointsman run`: builds everything, hands each part its collaborators, runs until SIGTERM or SIGINT.
// Returns the exit status; what went wrong at the start is on standard error and in the log.
int run_daemon(conf::Config config);

}  // namespace pointsman::proxy
