#pragma once

#include <string>
#include <vector>

#include "conf/config.h"

// What `pointsman check` tells of a valid configuration. Any thread.
namespace pointsman::conf {

// Several lines for a person: addresses, backends and their links, the times and limits with their effect in
// words. Shows no secret.
std::string summary(const Config& config);

// What is allowed but worth a second thought: guarantees that are missing or given away, and what this host
// and user lack to run it (looks at directories, limits and the user id; changes nothing). One sentence or
// two each; may be empty.
std::vector<std::string> advice(const Config& config);

}  // namespace pointsman::conf
