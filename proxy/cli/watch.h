#pragma once

#include <string>

#include "proxy/cli/command_line.h"

namespace pointsman::proxy::cli {

struct Outcome {
  ExitStatus status = ExitStatus::done;
  std::string complaint;  // for standard error; empty: none
};

// `status --watch`: redraws in place on a terminal, prints a block (with --json, a line) per change
// elsewhere. Ends on Ctrl-C, SIGTERM, SIGHUP, or q on a terminal. When there is no daemon at the start that
// is an error; later it is shown, and it goes on. One thread; takes over those signals for good.
Outcome watch_status(const Invocation& invocation, const std::string& socket);

// `events --follow`: the newest events, then each as it happens, until Ctrl-C or until the daemon ends.
Outcome follow_events(const Invocation& invocation, const std::string& socket);

}  // namespace pointsman::proxy::cli
