#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <vector>

#include "health/core/time.h"

namespace pointsman::proxy {

inline constexpr std::size_t max_program_output = 4096;  // bytes kept, the last ones

// Runs a program of the operator's and waits for it: `input` on its standard input, exit status 0 is success.
// After `timeout` it and its process group are killed, which is a failure. The error says how it ended and
// what it printed last. Blocks: for a pool thread. The process must ignore SIGPIPE: the program may not read
// its input.
std::expected<void, std::string> run_program(const std::vector<std::string>& command,
                                             const std::string& input, core::Duration timeout);

// What fence-agents read on standard input to switch `backend` off (FenceAgentAPI: name=value lines).
std::string fence_options(const std::string& backend);

}  // namespace pointsman::proxy
