#pragma once

#include <deque>
#include <string>
#include <vector>

#include "health/core/candidate.h"
#include "health/core/cluster.h"

// Why an automatic failover does not happen although the primary does not serve.
namespace pointsman::core {

// What the primary was known to have, kept so that a replica that is behind can be told from one that merely
// has not received the very last transactions, which were in flight when the primary died.
class PrimaryLedger {
 public:
  void forget() {
    samples_.clear();
    began_with_ = {};
  }
  // A new primary had this when it was promoted; nothing of it is in flight.
  void begin(const GtidSet& executed) {
    forget();
    began_with_ = executed;
  }
  void on_report(const ServerReport& report, Instant at, Duration keep);

  // Everything that was ever reported.
  GtidSet known() const { return samples_.empty() ? began_with_ : samples_.back().executed; }
  // What had been there for at least `in_flight` at the last report: a replica without it is behind.
  GtidSet settled(Duration in_flight) const;
  // At the last report commits waited for a replica, so a replica has every acknowledged one.
  bool semi_sync_active() const { return !samples_.empty() && samples_.back().semi_sync_active; }
  // What it had when it was promoted by us.
  const GtidSet& began_with() const { return began_with_; }
  bool has_samples() const { return !samples_.empty(); }

 private:
  struct Sample {
    Instant at;
    GtidSet executed;
    bool semi_sync_active = false;
  };
  std::deque<Sample> samples_;  // bounded by `keep`, at least the newest two
  GtidSet began_with_;
};

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
  GtidSet missing;                   // the primary surely had these, the candidate never received them
  std::vector<std::string> unheard;  // replicas that may have acknowledged more and cannot be asked
};
// `primary` as in ChoiceRules::from. `final`: the candidate's receiver was stopped, so that its report is not
// merely older than another's.
Shortfall shortfall(const Cluster& cluster, const Server& candidate, std::optional<BackendId> primary,
                    const PrimaryLedger& ledger, bool final);
// A sentence; empty: nothing that configuration or mode forbid.
std::string why_forbidden(const Shortfall& shortfall, const Cluster& cluster, const Server& candidate);

// As far as the replica's newest answer tells, its source may live: it has not been quiet for so long that a
// heartbeat of replication must have come and been seen.
bool may_still_receive(const Server& replica, const JudgeTimes& times);

// Every reason against failing over now, sentences; empty: go.
std::vector<std::string> vetoes(const FailoverGuard& guard);

}  // namespace pointsman::core
