#pragma once

#include "proxy/admin_protocol.h"
#include "proxy/cli/command_line.h"

namespace pointsman::proxy::cli {

// `pointsman setup`: the whole command. Ctrl-C and SIGTERM end it in order: a copy that is under way is
// tidied up first; a second one ends the process at once. Blocks; for the main thread of a process that has
// no other.
ExitStatus set_up(const Invocation& invocation);

}  // namespace pointsman::proxy::cli
