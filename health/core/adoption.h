#pragma once

#include <optional>
#include <string>

#include "health/core/cluster.h"
#include "health/core/durable_state.h"

// Who is the primary when we do not know yet: at the start, and after a change of primary whose outcome is
// uncertain. The servers' own state decides, the stored state arbitrates, ambiguity routes nobody.
namespace pointsman::core {

struct Adoption {
  enum class Kind {
    wait,       // not everybody has answered or been judged
    adopt,      // `primary` accepts writes already
    reinstate,  // `primary` has the role of record and nobody can have taken it: it only has to be made
                // writable
    absent,     // `primary` has the role of record and does not serve: failover decides
    ambiguous,  // route nobody until an operator or the servers' state resolves it
  };
  Kind kind = Kind::wait;
  std::optional<BackendId> primary;
  std::string why;  // a sentence; for `ambiguous` with the command that resolves it
};

// What the servers said before is not what they are now.
struct AdoptionRules {
  Instant since = Instant::min();  // only reports from after this count
  // An interrupted change was our own and its route was never opened, so that whoever was promoted got no
  // transactions from clients.
  bool nobody_was_routed = false;
  // The process whose place ours took, and which decided until that moment, let clients to this server.
  std::optional<BackendId> served = std::nullopt;
};

Adoption decide_primary(const Cluster& cluster, const DurableState& stored, const AdoptionRules& rules);

}  // namespace pointsman::core
