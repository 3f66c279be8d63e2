#include "health/core/veto.h"

#include <algorithm>

namespace pointsman::core {

void PrimaryLedger::on_report(const ServerReport& report, Instant at, Duration keep) {
  const bool active = report.semi_sync.source_enabled && report.semi_sync.source_active && report.semi_sync.source_clients > 0;
  samples_.push_back({at, report.executed, active});
  while (samples_.size() > 2 && samples_[1].at + keep <= at) samples_.pop_front();
}

GtidSet PrimaryLedger::settled(Duration in_flight) const {
  if (samples_.empty()) return {};
  const Instant last = samples_.back().at;
  for (auto sample = samples_.rbegin(); sample != samples_.rend(); ++sample) {
    if (last - sample->at >= in_flight) return sample->executed;
  }
  return {};
}

ChoiceRules rules_for(const Server& primary, Duration deadtime) {
  ChoiceRules rules;
  rules.from = primary.id;
  // A crash is proved by what its host said; silence may as well be our own isolation.
  if (primary.is(Verdict::dead)) rules.heard_after = primary.evidence.last_contact() + deadtime / 2;
  return rules;
}

GtidSet missing_from(const Server& candidate, const PrimaryLedger& ledger, Duration in_flight) {
  if (ledger.semi_sync_active()) return {};
  return ledger.settled(in_flight).minus(holdings(candidate));
}

namespace {

// The replica heard from the primary well after we last did: the trouble is between us and the primary.
bool still_receives(const Server& replica, const Server& primary, const JudgeTimes& times) {
  const auto& heard = replica.evidence.received_change_at;
  return heard && *heard > primary.evidence.last_contact() + times.deadtime / 2;
}

void add_silence_vetoes(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  const auto times = guard.cluster.judge_times();
  bool anybody_heard = false;
  for (const auto& server : guard.cluster.servers) {
    if (server.id == guard.primary.id) continue;
    const auto heard_after = guard.primary.evidence.last_contact() + times.deadtime / 2;
    anybody_heard |= server.answered() && *server.evidence.last_ok >= heard_after;
    if (guard.cluster.follows(server, guard.primary) && still_receives(server, guard.primary, times)) {
      reasons.push_back(server.name() + " still receives from " + guard.primary.name() +
                        ": the trouble is between us and it, and it cannot be fenced");
    }
  }
  if (!anybody_heard) reasons.emplace_back("no server at all is heard: this proxy itself seems to be cut off");
}

void add_candidate_vetoes(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  const auto& cluster = guard.cluster;
  const Choice choice = choose(cluster, rules_for(guard.primary, cluster.config.heartbeat.deadtime));
  if (!choice.candidate) {
    std::string all;
    for (const auto& refusal : choice.refused) {
      all += (all.empty() ? "" : "; ") + cluster.at(refusal.backend).name() + ": " + refusal.why;
    }
    reasons.push_back("no server can take over (" + all + ")");
    return;
  }
  if (cluster.config.failover.allow_loss) return;
  const Server& candidate = cluster.at(*choice.candidate);
  const GtidSet missing = missing_from(candidate, guard.ledger, cluster.config.monitor.interval / 2);
  if (!missing.empty()) {
    reasons.push_back(candidate.name() + " is behind: it never received " + std::to_string(missing.count()) +
                      " transactions that " + guard.primary.name() + " had (" + missing.to_string() +
                      "); failover.allow_loss or `pointsman failover --force` accepts their loss");
  }
}

}  // namespace

std::vector<std::string> vetoes(const FailoverGuard& guard) {
  std::vector<std::string> reasons;
  const auto& cluster = guard.cluster;
  const auto& limits = cluster.config.failover;
  if (!cluster.automatic) reasons.emplace_back("automatic failover is off");
  if (guard.primary.maintenance) reasons.push_back(guard.primary.name() + " is in maintenance");
  const auto recent = std::count_if(guard.recent_failovers.begin(), guard.recent_failovers.end(),
                                    [&](Instant at) { return guard.now - at < limits.window; });
  if (static_cast<unsigned>(recent) >= limits.max_in_window) {
    reasons.push_back(std::to_string(recent) + " automatic failovers within " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limits.window).count()) +
                      " s: something else is wrong (failover.max_in_window)");
  }
  if (guard.primary.is(Verdict::dead)) add_silence_vetoes(guard, reasons);
  add_candidate_vetoes(guard, reasons);
  return reasons;
}

}  // namespace pointsman::core
