#pragma once

#include "conf/agent_config.h"

namespace pointsman::agent {

// `pointsman-agent copies`, to its end; its exit status. For the main thread of a process that has no other.
int run_copies(const conf::AgentConfig& config);

}  // namespace pointsman::agent
