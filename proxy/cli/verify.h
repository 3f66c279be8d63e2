#pragma once

#include "proxy/admin_protocol.h"
#include "proxy/cli/command_line.h"

namespace pointsman::proxy::cli {

// `pointsman verify`: the whole command. Done: all replicas have the primary's rows; refused: something
// differs, or could not be compared. Ctrl-C and SIGTERM end it. Blocks; for the main thread of a process that
// has no other.
ExitStatus verify_data(const Invocation& invocation);

}  // namespace pointsman::proxy::cli
