#pragma once

#include <optional>
#include <string>
#include <vector>

#include "health/core/cluster.h"

// Who can take over, and why the others cannot.
namespace pointsman::core {

struct Refusal {
  BackendId backend;
  std::string why;
};

struct Choice {
  std::optional<BackendId> candidate;  // the eligible one that has received most; ties go to the configuration's order
  std::vector<BackendId> eligible;     // configuration's order
  std::vector<Refusal> refused;
};

struct ChoiceRules {
  std::optional<BackendId> from;  // the primary to be replaced
  std::optional<BackendId> only;  // the operator named the successor
  // The operator takes responsibility for loss and for a server that replicates from nobody; never for one that is not up.
  bool forced = false;
  // A silent primary: an answer of the candidate counts only if it came later than this, otherwise it may be we who are cut off.
  std::optional<Instant> heard_after;
};

// All that a replica will have after applying its relay log.
GtidSet holdings(const Server& server);

Choice choose(const Cluster& cluster, const ChoiceRules& rules);

}  // namespace pointsman::core
