#include "health/core/candidate.h"

#include "health/core/agent_guard.h"

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

// What makes a replica unfit whoever the primary is. Empty: nothing.
std::string why_unfit(const Server& server, const ReplicaStatus& replica) {
  if (server.report().sources > 1) return "replicates from several sources, which is not supported";
  if (!server.report().gtid_on || !replica.by_gtid)
    return "does not replicate by GTID, so what it received is not known";
  if (replica.sql_errno != 0) {
    return "its SQL thread stopped with error " + std::to_string(replica.sql_errno) + ": " +
           replica.sql_error;
  }
  return "";
}

// Empty: eligible.
std::string why_not(const Cluster& cluster, const Server& server, const ChoiceRules& rules) {
  if (rules.only && *rules.only != server.id) return "another server was named";
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
    return "replicates from " + conf::to_string(replica->source) + ", not from " +
           cluster.at(*rules.from).name();
  }
  if (rules.stopped != nullptr && !rules.stopped->contains(server.id)) {
    return "did not confirm that it stopped receiving, so what it has is not final";
  }
  return why_unfit(server, *replica);
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
    if (!choice.candidate) {
      choice.candidate = server.id;
      continue;
    }
    const GtidSet best = replicated(cluster.at(*choice.candidate));
    const GtidSet here = replicated(server);
    // Counted both ways: with several origins neither need contain the other.
    if (here.minus(best).count() > best.minus(here).count()) choice.candidate = server.id;
  }
  return choice;
}

Recovery compare_after_restart(const Cluster& cluster, const Server& primary) {
  Recovery recovery;
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
    if (!cluster.follows(server, primary)) continue;
    if (*server.evidence.report_from < restarted) {
      recovery.ask = server.id;
      continue;
    }
    const GtidSet has = replicated(server);
    if (primary.report().executed.contains(has)) continue;
    if (*primary.evidence.report_from < *server.evidence.report_until) {
      // It may merely have received what a primary that was just made writable has written since.
      recovery.ask = primary.id;
    } else if (has.contains(primary.report().executed)) {
      recovery.ahead = &server;
      recovery.why_not = "lost transactions in its crash that " + server.name() + " has";
      return recovery;
    } else {
      recovery.why_not = "restarted and lacks " + has.minus(primary.report().executed).to_string() +
                         ", which " + server.name() + " has, and has what that one lacks";
    }
  }
  return recovery;
}

}  // namespace pointsman::core
