#include "health/core/candidate.h"

#include <algorithm>

#include "health/core/frame_gtids.h"
#include "health/core/topology.h"
#include "health/core/wording.h"

namespace pointsman::core {

GtidSet holdings(const Server& server) {
  const ReplicaStatus* replica = server.replica();
  return replica != nullptr ? server.report().executed.united(replica->received) : server.report().executed;
}

GtidSet last_known_holdings(const Server& server) {
  const GtidSet reported = server.answered() ? holdings(server) : GtidSet{};
  return reported.united(gtids_of(server.evidence.agent.received));
}

GtidSet replicated(const Server& server) {
  return holdings(server).minus(server.errant);
}

namespace {

// What the server committed itself.
GtidSet written_by(const ServerReport& server, const GtidSet& some) {
  if (server.flavour == Flavour::mysql) return some.of(server.server_uuid);
  GtidSet written;
  const std::string suffix = "-" + std::to_string(server.server_id);
  for (const auto& [origin, last] : some.newest()) {
    if (origin.ends_with(suffix)) written = written.united(some.of(origin));
  }
  return written;
}

}  // namespace

GtidSet replicated_from(const Cluster& cluster, const Server& server, const Server& primary,
                        const GtidSet& known) {
  if (!server.answered() || server.id == primary.id) return {};
  GtidSet has = replicated(server);
  if (cluster.follows(server, primary)) return has;
  // One that never answered us cannot be told from others: all but a former primary's own may be from there.
  if (!primary.answered()) return server.promise ? GtidSet{} : has;
  return has.minus(has.minus(known)).united(written_by(primary.report(), has));
}

namespace {

// What makes a replica unfit whoever the primary is. Empty: nothing.
std::string why_unfit(const Server& server, const ReplicaStatus& replica) {
  if (server.report().sources > 1) return "replicates from several sources, which is not supported";
  if (!server.report().gtid_on || !replica.by_gtid)
    return "does not replicate by GTID, so what it received is not known";
  // One that was ended midway a failover starts. One that got no lock may get none again; where that is told,
  // another may be better.
  const bool broken = replica.sql_errno != 0 && !replica.killed_midway();
  return broken ? why_applier_stopped(replica) : "";
}

// Empty: eligible.
std::string why_not(const Cluster& cluster, const Server& server, const ChoiceRules& rules) {
  if (rules.only && *rules.only != server.id) return "another server was named";
  if (server.settings.never_promote && !(rules.forced && rules.only)) {
    return "is never to be promoted (never_promote): only `pointsman failover --to " + server.name() +
           " --force` does it";
  }
  if (server.maintenance) return "in maintenance";
  if (server.taking_back) return "its data are being replaced, and are not whole";
  if (!server.up()) {
    return std::string(to_string(server.judgement.verdict)) + ": " + server.judgement.why;
  }
  if (rules.heard_after && *server.evidence.last_ok < *rules.heard_after) {
    return "has not answered since the primary fell silent, so we may be the ones cut off";
  }
  if (!server.report().log_bin) return "writes no binary log, so nobody could replicate from it";
  if (rules.forced) return "";
  if (!server.report().log_replica_updates)
    return "does not log what it replicates (log_slave_updates), so nobody could follow it";
  if (server.quarantined)
    return "quarantined: has transactions of its own (" + server.errant.to_string() + ")";
  if (!server.errant.empty())
    return "has transactions that the primary never had (" + server.errant.to_string() + ")";
  const ReplicaStatus* replica = server.replica();
  if (replica == nullptr) return rules.from && !server.heir ? "replicates from nobody" : "";
  if (rules.from && !cluster.follows(server, cluster.at(*rules.from))) {
    const Server* source = cluster.source_of(server);
    return "replicates from " + (source != nullptr ? source->name() : conf::to_string(replica->source)) +
           ", not from " + cluster.at(*rules.from).name() +
           (is_chained(cluster, server) ? ": a chained replica is not promoted" : "");
  }
  if (rules.stopped != nullptr && !rules.stopped->contains(server.id)) {
    return "did not confirm that it stopped receiving, so what it has is not final";
  }
  return why_unfit(server, *replica);
}

// How many transactions `a` has received more than `b`. Counted both ways: with several origins neither need
// contain the other.
std::int64_t lead(const Server& a, const Server& b) {
  const GtidSet of_a = replicated(a);
  const GtidSet of_b = replicated(b);
  return static_cast<std::int64_t>(of_a.minus(of_b).count()) -
         static_cast<std::int64_t>(of_b.minus(of_a).count());
}

bool is_better(const Server& a, const Server& b, bool planned) {
  const unsigned of_a = a.settings.priority;
  const unsigned of_b = b.settings.priority;
  if (planned && of_a != of_b) return of_a > of_b;
  if (const auto more = lead(a, b); more != 0) return more > 0;
  if (a.failed_catch_ups != b.failed_catch_ups) return a.failed_catch_ups < b.failed_catch_ups;
  return of_a > of_b;
}

// The best first. No sort: with several origins "has received more" is not transitive.
std::vector<BackendId> by_merit(const Cluster& cluster, std::vector<BackendId> servers, bool planned) {
  for (auto first = servers.begin(); first != servers.end(); ++first) {
    auto best = first;
    for (auto other = std::next(first); other != servers.end(); ++other) {
      if (is_better(cluster.at(*other), cluster.at(*best), planned)) best = other;
    }
    std::rotate(first, best, std::next(best));
  }
  return servers;
}

std::string why_passed_over(const Server& server, const Server& best, bool planned) {
  const unsigned here = server.settings.priority;
  const unsigned there = best.settings.priority;
  const auto less = lead(best, server);
  if (less > 0 && !(planned && here != there)) {
    return "has received " + transactions(less) + " less than " + best.name();
  }
  if (less == 0 && server.failed_catch_ups > best.failed_catch_ups)
    return "has received as much as " + best.name() + ", and did not catch up when it was chosen before";
  if (here != there) {
    return std::string(planned ? "has" : "has received as much, and has") + " the lower priority (" +
           std::to_string(here) + ", " + best.name() + ": " + std::to_string(there) + ")";
  }
  return "has received as much as " + best.name() + ", which comes first in the configuration";
}

}  // namespace

Choice choose(const Cluster& cluster, const ChoiceRules& rules) {
  Choice choice;
  for (const auto& server : cluster.servers) {
    if (rules.from == server.id) continue;
    std::string why = why_not(cluster, server, rules);
    if (!why.empty()) {
      choice.refused.push_back({server.id, std::move(why)});
      continue;
    }
    choice.eligible.push_back(server.id);
  }
  choice.eligible = by_merit(cluster, std::move(choice.eligible), rules.planned);
  if (choice.eligible.empty()) return choice;
  choice.candidate = choice.eligible.front();
  for (const BackendId other : choice.eligible) {
    if (other != *choice.candidate)
      choice.passed_over.push_back(
          {other, why_passed_over(cluster.at(other), cluster.at(*choice.candidate), rules.planned)});
  }
  return choice;
}

Recovery compare_after_restart(const Cluster& cluster, const Server& primary) {
  Recovery recovery;
  std::vector<const Server*> ahead;
  if (!primary.up() || primary.writable() || !primary.evidence.restarted_since_writable()) return recovery;
  const bool required = cluster.config.replication.semi_sync == conf::SemiSync::required;
  const Instant restarted = *primary.evidence.run_started();
  for (const auto& server : cluster.servers) {
    if (server.id == primary.id || server.maintenance || server.quarantined) continue;
    if (!server.up()) {
      if (server.is(Verdict::suspect)) recovery.ask = server.id;
      if (required && (!server.answered() || cluster.follows(server, primary)) && recovery.why_not.empty()) {
        recovery.why_not = "restarted, and whether it lost in its crash what " + server.name() +
                           " has acknowledged is not known, because that one is " +
                           to_string(server.judgement.verdict);
      }
      continue;
    }
    const bool follows = cluster.follows(server, primary);
    if (follows && *server.evidence.report_from < restarted) {
      recovery.ask = server.id;
      continue;
    }
    const GtidSet has = replicated_from(cluster, server, primary, {});
    if (primary.report().executed.contains(has)) continue;
    if (follows && *primary.evidence.report_from < *server.evidence.report_until) {
      // It may merely have received what a primary that was just made writable has written since.
      recovery.ask = primary.id;
    } else if (follows && has.contains(primary.report().executed)) {
      ahead.push_back(&server);
    } else {
      recovery.why_not = "restarted and lacks " + has.minus(primary.report().executed).to_string() +
                         ", which " + server.name() + " has" +
                         (follows ? ", and has what that one lacks" : "");
    }
  }
  if (ahead.empty()) return recovery;
  ChoiceRules rules;
  rules.from = primary.id;
  const std::vector<BackendId> fit = choose(cluster, rules).eligible;
  const auto best = std::ranges::find_if(
      fit, [&](BackendId id) { return std::ranges::find(ahead, &cluster.at(id)) != ahead.end(); });
  recovery.takes_over = best != fit.end();
  recovery.ahead = recovery.takes_over ? &cluster.at(*best) : ahead.front();
  recovery.ask.reset();  // whatever the others say, it must not be made writable
  recovery.why_not = "lost transactions in its crash that " + recovery.ahead->name() + " has";
  return recovery;
}

}  // namespace pointsman::core
