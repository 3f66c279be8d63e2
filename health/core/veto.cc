#include "health/core/veto.h"

#include <algorithm>

#include "health/core/wording.h"

namespace pointsman::core {

namespace {

// Between the moment that a server gives up waiting for a replica and the moment that we take for it.
constexpr Duration give_up_slack = std::chrono::milliseconds(100);

// A server that answered after this was not silent together with `primary`: by then the primary's probe, had
// we all been cut off at once, would have been answered or given up.
Instant silent_alone_after(const Server& primary, const JudgeTimes& times) {
  return primary.evidence.last_contact() + std::max(times.deadtime / 2, times.interval + times.timeout);
}

// Cannot be asked what it received from the primary.
bool unasked(const Cluster& cluster, const Server& other, const Server& primary) {
  if (other.up() || other.id == primary.id) return false;
  return other.answered() ? cluster.follows(other, primary) : !other.maintenance;
}

// Such a one, and it replicated until about when the primary was last heard, so that it may have acknowledged
// to the end.
bool may_have_acknowledged(const Cluster& cluster, const Server& other, const Server& primary) {
  if (!unasked(cluster, other, primary)) return false;
  if (!other.answered()) return true;
  return other.report().semi_sync.replica_enabled &&
         other.evidence.last_contact() + cluster.config.heartbeat.deadtime >= primary.evidence.last_contact();
}

// What a primary answered without a replica, and the candidate lacks. Here nothing is only on its way: each
// of them was answered.
void add_degraded(const Cluster& cluster, const Server& old, const PrimaryLedger& ledger, const GtidSet& has,
                  Shortfall& result) {
  const auto& mark = ledger.phase().mark();
  if (!mark || mark->primary != old.name() || cluster.config.replication.semi_sync == conf::SemiSync::off)
    return;
  GtidSet answered = mark->known;
  // What it came back without is lost, whoever serves.
  if (old.up()) answered = answered.minus(answered.minus(old.report().executed));
  result.alone_since = mark->since;
  result.missing = result.missing.united(answered.minus(has));
  if (ledger.phase().hearsay() && !old.up()) result.last_seen = mark->known;
}

enum class Forgotten { nothing, perhaps, by_both };

// It follows the primary and has, for all that was seen, not caught up with it since it threw away what it
// had received. When the primary was never seen to commit, an earlier start than ours counts for nothing.
Forgotten forgotten(const Cluster& cluster, const Server& server, const Server& primary,
                    const PrimaryLedger& ledger) {
  if (!server.answered() || !cluster.follows(server, primary) || server.whole()) return Forgotten::nothing;
  const GtidSet has = holdings(server);
  if (primary.up() && !server.being_turned && *primary.evidence.report_from >= *server.forgot_at() &&
      has.contains(primary.report().executed)) {
    // It is back and may not write, as it lost something in a crash: nobody can ask it for more.
    const bool lost = primary.evidence.restarted_since_writable() &&
                      !primary.report().executed.contains(has.united(ledger.known()));
    return lost ? Forgotten::by_both : Forgotten::nothing;
  }
  const bool perhaps = ledger.has_samples() || *server.forgot_at() > server.evidence.watched_since;
  return perhaps ? Forgotten::perhaps : Forgotten::nothing;
}

// Until its end no commit of the primary was answered without a replica that acknowledged it.
bool surely_waited(const PrimaryLedger& ledger, const Server& primary) {
  if (ledger.insisted_throughout()) return true;
  const Evidence& evidence = primary.evidence;
  const auto gave_up = ledger.gave_up_at_the_earliest();
  if (!gave_up || !primary.is(Verdict::crashed)) return false;
  const auto ended = evidence.lost_at ? evidence.lost_at : evidence.agent.saw_end_at;
  return ended && *ended + give_up_slack < *gave_up;
}

// A MariaDB that is shut down ends the waits of the sessions one by one; those whose group is led by one that
// was ended before them answer their clients as if a replica had the commits. It was killed only when its
// agent saw that.
bool may_have_been_shut_down(const Server& primary) {
  const Evidence& evidence = primary.evidence;
  const bool ended = primary.is(Verdict::crashed) || (primary.up() && evidence.restarted_since_writable());
  return ended && primary.report().flavour == Flavour::mariadb && !evidence.agent.saw_kill;
}

// Whoever waits for a replica at the last report did so to the end. Where none is connected that is not said
// of a MySQL: let_go_of_commits.
bool waited_in_vain(const PrimaryLedger& ledger, const Server& primary) {
  if (may_have_been_shut_down(primary)) return false;
  if (ledger.semi_sync_active()) return true;
  return ledger.insisted_throughout() && primary.report().flavour == Flavour::mariadb;
}

// A MySQL that is shut down while no replica is connected ends its semi-sync ("Forced shutdown"): commits
// that waited, however long they would have, are answered as if they were safe.
bool let_go_of_commits(const Server& primary) {
  const ServerReport& last = primary.report();
  const SemiSyncStatus& semi_sync = last.semi_sync;
  const bool waits = semi_sync.source_enabled && (semi_sync.source_insists || semi_sync.source_waits_alone);
  return primary.evidence.shut_down && last.flavour == Flavour::mysql && waits &&
         semi_sync.source_clients == 0;
}

// It took part in no acknowledgement, so that what it alone has received was answered to nobody.
bool acknowledged_nothing(const Server& replica) {
  const SemiSyncStatus& semi_sync = replica.report().semi_sync;
  return replica.settings.never_promote && !semi_sync.replica_enabled && !semi_sync.replica_active;
}

}  // namespace

ChoiceRules rules_for(const Server& primary, const JudgeTimes& times) {
  ChoiceRules rules;
  rules.from = primary.id;
  // A crash is proved by what its host said; silence may as well be our own isolation.
  if (primary.is(Verdict::dead)) rules.heard_after = silent_alone_after(primary, times);
  return rules;
}

Shortfall shortfall(const Cluster& cluster, const Server& candidate, std::optional<BackendId> primary,
                    const PrimaryLedger& ledger, bool final) {
  Shortfall result;
  if (!primary) return result;
  const Server& old = cluster.at(*primary);
  // A daemon that was started after the primary died never saw whether commits waited.
  const bool required = cluster.config.replication.semi_sync == conf::SemiSync::required;
  const bool relied = ledger.has_samples() ? ledger.relied_on_replicas() : required;
  const bool waited_to_the_end = surely_waited(ledger, old);
  result.let_go = let_go_of_commits(old);
  const GtidSet has = holdings(candidate);
  bool all_asked = true;
  for (const auto& other : cluster.servers) {
    if (other.quarantined) continue;
    const bool silent = acknowledged_nothing(other);
    const Forgotten what = relied && !silent ? forgotten(cluster, other, old, ledger) : Forgotten::nothing;
    if (what == Forgotten::perhaps) result.forgot.push_back(other.name());
    result.forgotten_by_both = result.forgotten_by_both || what == Forgotten::by_both;
    if (other.id == candidate.id) continue;
    all_asked = all_asked && !unasked(cluster, other, old);
    if (relied && may_have_acknowledged(cluster, other, old)) result.unheard.push_back(other.name());
    // Whatever another replica received, the primary had sent.
    const bool later =
        final || (other.answered() && *candidate.evidence.report_from >= *other.evidence.report_until);
    const bool counts = !(waited_to_the_end && silent);
    if (later && counts)
      result.missing = result.missing.united(replicated_from(cluster, other, old, ledger.known()).minus(has));
  }
  // What the primary had when it became one may have been acknowledged by the one before.
  result.missing = result.missing.united(ledger.began_with().minus(has));
  // With semi-sync what no replica has was never acknowledged, as long as all are asked.
  const Duration in_flight = cluster.config.monitor.interval / 2;
  const bool all_known = ledger.has_samples() && all_asked && result.forgot.empty();
  if (!all_known || !waited_in_vain(ledger, old)) {
    result.perhaps_answered = all_known && may_have_been_shut_down(old) &&
                              (ledger.semi_sync_active() || ledger.insisted_throughout());
    result.missing = result.missing.united(ledger.settled(in_flight).minus(has));
  } else if (!ledger.semi_sync_active()) {
    result.missing = result.missing.united(ledger.answered_alone(in_flight).minus(has));
  }
  add_degraded(cluster, old, ledger, has, result);
  return result;
}

GtidSet at_stake(const Cluster& cluster, const PrimaryLedger& ledger) {
  const SemiSyncState state = ledger.phase().state();
  const auto& mark = ledger.phase().mark();
  if (!mark && state != SemiSyncState::off) return {};
  const GtidSet known = mark ? mark->known : ledger.known();
  // When no replica can be asked: what was answered while one was there, it has.
  GtidSet least = mark ? known.minus(mark->since) : GtidSet{};
  bool asked = false;
  for (const auto& other : cluster.servers) {
    if (other.id == cluster.primary || other.quarantined || other.taking_back) continue;
    if (!other.answered() && other.evidence.agent.received.empty()) continue;
    GtidSet lacks = known.minus(last_known_holdings(other));
    if (!asked || lacks.count() < least.count()) least = std::move(lacks);
    asked = true;
  }
  return least;
}

std::string why_forbidden(const Shortfall& shortfall, const Cluster& cluster, const Server& candidate) {
  if (cluster.config.failover.allow_loss) return "";
  const std::string alone = shortfall.alone_since ? "; commits were answered without a replica since " +
                                                        in_words(*shortfall.alone_since)
                                                  : "";
  if (!shortfall.missing.empty()) {
    return candidate.name() + " is behind: it never received " + transactions(shortfall.missing.count()) +
           " that the primary had (" + shortfall.missing.to_string() + ")" + alone +
           (shortfall.perhaps_answered
                ? "; they waited for a replica, but nobody saw that it was killed, and one that is "
                  "shut down answers some of those: start it again, and nothing is lost"
                : "") +
           "; failover.allow_loss or `pointsman failover --force` accepts their loss";
  }
  if (!shortfall.last_seen.empty()) {
    return "what the primary committed after " + in_words(shortfall.last_seen) + " is not known" + alone +
           "; failover.allow_loss or `pointsman failover --force` accepts its loss";
  }
  if (shortfall.let_go) {
    return "the primary was shut down while no replica was connected to it: MySQL then answers the commits "
           "that "
           "wait for one, and which these are is not known before it is back; failover.allow_loss or "
           "`pointsman "
           "failover --force` accepts their loss";
  }
  const auto joined = [](const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  };
  if (!shortfall.forgot.empty()) {
    return joined(shortfall.forgot) +
           " was started (or told whom to follow) when the primary was heard no more, and has thrown away"
           " what it had received and acknowledged but not applied; failover.allow_loss or `pointsman "
           "failover --force` accepts its loss";
  }
  if (cluster.config.replication.semi_sync != conf::SemiSync::required || shortfall.unheard.empty())
    return "";
  return joined(shortfall.unheard) + " may have acknowledged transactions that " + candidate.name() +
         " never received, and cannot be asked; "
         "failover.allow_loss or `pointsman failover --force` accepts their loss";
}

namespace {

// An idle source gives a sign of life this often (health/mysql sets it when it sets up a replica).
constexpr Duration replication_heartbeat = std::chrono::milliseconds(500);
constexpr Duration probe_slack = std::chrono::milliseconds(50);

}  // namespace

bool may_still_receive(const Server& replica, const JudgeTimes& times) {
  if (!replica.up() || replica.replica() == nullptr || replica.replica()->io != ReplicaStatus::Io::yes)
    return false;  // its last word is old, or it lost its source
  const auto& heard = replica.evidence.received_change_at;
  return heard &&
         *replica.evidence.report_until - *heard < replication_heartbeat + times.interval + probe_slack;
}

namespace {

void add_silence_vetoes(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  const Instant heard_after = silent_alone_after(guard.primary, guard.cluster.judge_times());
  const bool anybody_heard = std::ranges::any_of(guard.cluster.servers, [&](const Server& server) {
    return server.id != guard.primary.id && server.answered() && *server.evidence.last_ok >= heard_after;
  });
  if (!anybody_heard)
    reasons.emplace_back("no server at all is heard: this proxy itself seems to be cut off");
}

// Silence everywhere may be a cut cable, with a primary behind it that goes on.
void add_lease_veto(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  const conf::Config& config = guard.cluster.config;
  const bool leases = config.heartbeat.lease > Duration::zero() && guard.primary.settings.has_agent();
  if (!leases || guard.cluster.guarded(guard.primary) || !config.fence.command.empty()) return;
  reasons.push_back(
      "no agent was known to guard " + guard.primary.name() +
      " when it fell silent, so that nothing ends its writes should it live; when you know that "
      "it does not: `pointsman failover --force`");
}

void add_receiving_vetoes(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  // It stops by itself: whether it lives does not matter then.
  if (guard.primary.is(Verdict::dead) && guard.cluster.guarded(guard.primary)) return;
  for (const auto& server : guard.cluster.servers) {
    if (!guard.cluster.follows(server, guard.primary) ||
        !may_still_receive(server, guard.cluster.judge_times()))
      continue;
    reasons.push_back(server.name() + " still receives from " + guard.primary.name() +
                      ": the trouble is between us and it, and it cannot be fenced");
  }
}

void add_candidate_vetoes(const FailoverGuard& guard, std::vector<std::string>& reasons) {
  const auto& cluster = guard.cluster;
  const Choice choice = choose(cluster, rules_for(guard.primary, cluster.judge_times()));
  if (!choice.candidate) {
    std::string all;
    for (const auto& refusal : choice.refused) {
      all += (all.empty() ? "" : "; ") + cluster.at(refusal.backend).name() + ": " + refusal.why;
    }
    reasons.push_back("no server can take over (" + all + ")");
    return;
  }
  const Server& candidate = cluster.at(*choice.candidate);
  const auto forbidden =
      why_forbidden(shortfall(cluster, candidate, guard.primary.id, guard.ledger, false), cluster, candidate);
  if (!forbidden.empty()) reasons.push_back(forbidden);
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
    reasons.push_back(
        std::to_string(recent) + " automatic failovers within " +
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limits.window).count()) +
        " s: something else is wrong (failover.max_in_window)");
  }
  const bool silent = guard.primary.is(Verdict::dead);
  // Connections that ended are proof, and so is what the agent saw; mere refusals may be a firewall's.
  const Evidence& evidence = guard.primary.evidence;
  const bool refuses = guard.primary.is(Verdict::crashed) && !evidence.lost_at && !evidence.agent.saw_end_at;
  if (silent) add_silence_vetoes(guard, reasons);
  if (silent) add_lease_veto(guard, reasons);
  if (silent || refuses) add_receiving_vetoes(guard, reasons);
  add_candidate_vetoes(guard, reasons);
  return reasons;
}

}  // namespace pointsman::core
