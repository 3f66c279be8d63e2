#pragma once

#include <functional>

#include "conf/agent_config.h"

namespace CLI {
class App;
}

namespace pointsman::agent {

// Runs a program to its end; its exit status.
using Run = std::function<int(conf::AgentConfig)>;

// pointsman-agent run|copies|check -c FILE. The program's exit status, as that of pointsman: 0 done, 1
// refused or failed (the reason on standard error), 2 wrong usage.
int command_line(int argc, const char* const* argv, const Run& run, const Run& copies);

// Shows the reader all commands with their options, as they are parsed; for manual pages and completion.
void describe_command_line(const std::function<void(const CLI::App&)>& reader);

}  // namespace pointsman::agent
