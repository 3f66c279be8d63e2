#pragma once

#include <string>
#include <vector>

#include "conf/config.h"

namespace pointsman::proxy {

struct DaemonStart {
  std::vector<std::string> command;  // as the program was called; a successor is called alike
  bool takeover = false;             // in the place of a daemon that runs
};

// `pointsman run`: builds everything, hands each part its collaborators, runs until SIGTERM or SIGINT, or
// until its last session has ended after it was drained or another process took its place. Returns the exit
// status; what went wrong at the start is on standard error and in the log.
int run_daemon(conf::Config config, const DaemonStart& start);

}  // namespace pointsman::proxy
