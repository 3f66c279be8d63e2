#pragma once

#include <functional>

#include "conf/config.h"
#include "proxy/admin_protocol.h"
#include "proxy/cli/command_line.h"

namespace pointsman::proxy::cli {

// Runs the daemon until it is told to stop; its exit status. `takeover`: in the place of one that runs.
using RunDaemon = std::function<int(conf::Config, bool takeover)>;

// Does what was typed, on standard input, output and error. One thread; for the whole life of the process.
ExitStatus execute(const Invocation& invocation, const RunDaemon& run_daemon);

// The whole program: parses, executes, and never throws. Returns the exit status.
int run(int argc, const char* const* argv, const RunDaemon& run_daemon);

}  // namespace pointsman::proxy::cli
