#pragma once

#include <deque>
#include <string>
#include <vector>

#include "health/core/candidate.h"
#include "health/core/cluster.h"
#include "health/core/ledger.h"

// Why an automatic failover does not happen although the primary does not serve.
namespace pointsman::core {

struct FailoverGuard {
  const Cluster& cluster;
  const Server& primary;
  const PrimaryLedger& ledger;
  const std::deque<Instant>& recent_failovers;  // automatic ones
  Instant now;
};

// The choice rules that apply when `primary` has its present verdict.
ChoiceRules rules_for(const Server& primary, const JudgeTimes& times);

// What stands against a candidate because of transactions.
struct Shortfall {
  GtidSet missing;                       // the primary surely had these, the candidate never received them
  bool perhaps_answered = false;         // those waited for a replica, but it may have been shut down
  std::vector<std::string> unheard;      // replicas that may have acknowledged more and cannot be asked
  std::optional<GtidSet> alone_since{};  // since then the primary answered commits without a replica
  GtidSet last_seen{};                   // not empty: it did, and what it committed after this nobody saw
  std::vector<std::string> forgot;  // those that may have acknowledged more, and have thrown it away since
  // The primary and a replica came back from crashes, both without what the replica may have acknowledged.
  bool forgotten_by_both = false;
  bool let_go = false;  // it was shut down, and answered the commits that still waited for a replica

  // Nobody can have acknowledged what no replica has.
  bool all_known() const { return unheard.empty() && forgot.empty() && !forgotten_by_both; }
};
// `primary` as in ChoiceRules::from. `final`: the candidate's receiver was stopped, so that its report is not
// merely older than another's.
Shortfall shortfall(const Cluster& cluster, const Server& candidate, std::optional<BackendId> primary,
                    const PrimaryLedger& ledger, bool final);
// A sentence; empty: nothing that configuration or mode forbid.
std::string why_forbidden(const Shortfall& shortfall, const Cluster& cluster, const Server& candidate);

// What is lost if the primary, as it was last seen, never comes back: what the replica that has most does not
// have. Empty while commits wait for a replica.
GtidSet at_stake(const Cluster& cluster, const PrimaryLedger& ledger);

// As far as the replica's newest answer tells, its source may live: it has not been quiet for so long that a
// heartbeat of replication must have come and been seen.
bool may_still_receive(const Server& replica, const JudgeTimes& times);

// Every reason against failing over now, sentences; empty: go.
std::vector<std::string> vetoes(const FailoverGuard& guard);

}  // namespace pointsman::core
