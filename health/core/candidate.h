#pragma once

#include <optional>
#include <set>
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
  std::optional<BackendId> candidate;  // the first of the eligible
  // The one that has received most first; of those that have as much the one that failed to catch up less
  // often in this outage, then the one of the higher priority, then the order of the configuration. For a
  // planned change the priority counts first.
  std::vector<BackendId> eligible;
  std::vector<Refusal> refused;
  std::vector<Refusal> passed_over;  // eligible ones for the candidate's sake
};

struct ChoiceRules {
  std::optional<BackendId> from;  // the primary to be replaced
  std::optional<BackendId> only;  // the operator named the successor
  // The operator takes responsibility for loss and for a server that replicates from nobody, and with `only`
  // for one that is never to be promoted; never for one that is not up.
  bool forced = false;
  bool planned = false;  // the primary serves: whoever it is, he will have all that it has
  // A silent primary: an answer of the candidate counts only if it came later than this, otherwise it may be
  // we who are cut off.
  std::optional<Instant> heard_after;
  // The replicas whose receiver was stopped, so that what they received is final; nullptr: none was asked to.
  const std::set<BackendId>* stopped = nullptr;
};

// All that a replica will have after applying its relay log.
GtidSet holdings(const Server& server);
// The same by the newest word of anybody, also of a server that does not answer any more.
GtidSet last_known_holdings(const Server& server);
// The same without what the primary never had.
GtidSet replicated(const Server& server);
// What of that came from `primary`, which is known to have had `known`, whomever the server replicates from
// by now: it may have been turned to another one, or to nobody, after it had acknowledged.
GtidSet replicated_from(const Cluster& cluster, const Server& server, const Server& primary,
                        const GtidSet& known);

Choice choose(const Cluster& cluster, const ChoiceRules& rules);

// A primary that restarted read-only may have shed, in its crash recovery, transactions that it had sent
// already (MariaDB with init_rpl_role = SLAVE, or a lost disk cache). Were it made writable, what a replica
// has beyond it, acknowledged perhaps, would be lost.
struct Recovery {
  const Server* ahead = nullptr;  // the best that has all of the primary's and more
  bool takes_over = false;        // that one is fit to
  std::optional<BackendId> ask;   // nothing can be said before this one has been asked again
  std::string why_not;  // why the primary must not be made writable by us; empty: it may, unless `ask`
};

// Empty unless the primary is up, read-only, and was restarted.
Recovery compare_after_restart(const Cluster& cluster, const Server& primary);

}  // namespace pointsman::core
