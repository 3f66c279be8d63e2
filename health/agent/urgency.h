#pragma once

#include <string>
#include <vector>

namespace pointsman::agent {

// Locks the memory of this process, and puts the calling thread, and those that it starts later, before
// ordinary ones (SCHED_RR at its lowest priority, else nice): a loaded host must not be taken for a dead one,
// nor a lease run out because the agent was swapped out. What is not allowed is left out.
struct Urgency {
  std::vector<std::string> done;
  std::vector<std::string> refused;  // what, why, and how it would be allowed
};
Urgency become_urgent();

}  // namespace pointsman::agent
