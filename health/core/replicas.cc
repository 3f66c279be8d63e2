// The caretaker's way with a replica that is where it should be.
#include "health/core/candidate.h"
#include "health/core/caretaker.h"
#include "health/core/topology.h"
#include "health/core/wording.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// Should a server not keep its semi-sync role, it is not asked again and again.
constexpr Duration semi_sync_pause = 15s;
// Nor is an applier started again and again that is ended each time.
constexpr Duration applier_pause = 15s;
// Whoever receives for so long has got what it asked its source for.
constexpr Duration read_for_certain = 5s;

// The longest that a server lets an idle replica wait for a sign of life unless told otherwise is 30 s, on
// both products. Those that we have set up wait for half a keepalive.
constexpr Duration silence_is_odd = 35s;

// MariaDB ends the stream at a binary log that it cannot read, and its replica, which has no error, waits on.
std::string why_nothing_comes(const Server& server, const Server& primary, Instant now) {
  if (server.replica()->io != ReplicaStatus::Io::yes) return "";
  const Evidence& evidence = server.evidence;
  const Instant heard = evidence.received_change_at.value_or(evidence.replicates_since.value_or(now));
  const Duration silent = now - heard;
  const GtidSet missing = primary.report().executed.minus(holdings(server));
  if (silent < silence_is_odd || missing.empty()) return "";
  return "is connected but has received nothing for " + std::to_string(to_ms(silent) / 1000) +
         " s, although " + primary.name() + " has " + transactions(missing.count()) +
         " more: see the error log of " + primary.name() +
         "; if its binary logs are broken, `pointsman setup --overwrite " + server.name() +
         "` gives this server a fresh copy";
}

// A sentence; empty: nothing.
std::string why_not_well(const Cluster& cluster, const Server& server, const Server& primary, Instant now) {
  const ReplicaStatus& replica = *server.replica();
  if (!server.errant.empty())
    return "has transactions that " + primary.name() + " does not have: " + server.errant.to_string();
  if (replica.sql_errno != 0) return why_applier_stopped(replica);
  const bool direct = cluster.follows(server, primary);
  if (!direct) {
    const std::string lost = why_source_is_lost(cluster, server);
    if (!lost.empty()) return lost;
  }
  if (replica.io != ReplicaStatus::Io::yes && replica.io_errno != 0)
    return "does not receive: error " + std::to_string(replica.io_errno) + ": " + replica.io_error;
  if (replica.io == ReplicaStatus::Io::no || !replica.sql) {
    return "its replication was stopped: `pointsman rejoin " + server.name() + "` " +
           (direct ? "starts it" : "makes it follow " + primary.name());
  }
  return direct ? why_nothing_comes(server, primary, now) : "";
}

// The same of its role in semi-sync.
std::string why_wrong_role(const Server& server) {
  if (server.settings.never_promote) return "acknowledges commits although it is never to be promoted";
  return server.report().semi_sync.available
             ? "does not keep its semi-sync role, so it does not acknowledge commits"
             : "has no semi-sync plugin, so it cannot acknowledge commits";
}

bool has_wrong_role(const Cluster& cluster, const Server& server) {
  const bool acknowledges = server.report().semi_sync.replica_enabled;
  if (server.settings.never_promote) return acknowledges;
  return cluster.config.replication.semi_sync != conf::SemiSync::off && !acknowledges;
}

}  // namespace

// It replicated, was started anew, and does not replicate any more: nobody stopped it, but the server did not
// find its relay logs, or is set not to go on by itself. Only what its source has anyway is thrown away.
bool Caretaker::stopped_by_restart(const Server& server, const Server& primary) const {
  const ReplicaStatus& replica = *server.replica();
  if (replica.io != ReplicaStatus::Io::no || replica.sql || replica.io_errno != 0 || replica.sql_errno != 0)
    return false;
  const auto seen = replicated_at_.find(server.id);
  return seen != replicated_at_.end() && server.evidence.run_started() > seen->second &&
         cluster_.follows(server, primary) && primary.report().executed.contains(holdings(server));
}

// Only beside a receiver that is connected: where somebody stopped that, he may want both to stand, and an
// applier without a source might begin what was received in part.
bool Caretaker::restart_applier(Server& server, Instant now) {
  const ReplicaStatus& replica = *server.replica();
  Restart& restart = restarts_[server.id];
  if (replica.sql && now >= restart.not_before) restart.recorded.clear();
  if (replica.io != ReplicaStatus::Io::yes || !replica.interrupted() || now < restart.not_before)
    return false;
  restart.not_before = now + applier_pause;
  restart.why = why_applier_stopped(replica);
  start(Duty::start_applier, server, StartApplier{}, 10s, now);
  return true;
}

void Caretaker::restarted_applier(const Server& server) {
  Restart& restart = restarts_[server.id];
  if (restart.recorded == restart.why) return;
  restart.recorded = restart.why;
  outbox_.record(
      about("trouble", cluster_, server, server.name() + ": " + restart.why + "; it was started again"));
}

void Caretaker::watch_replica(Server& server, const Server& primary, Instant now) {
  if (server.replica()->io == ReplicaStatus::Io::yes) {
    server.fenced = server.heir = false;
    if (const auto unread = unread_.find(server.id); unread != unread_.end()) {
      auto& since = unread->second.receives_since;
      since = since.value_or(now);
      if (now - *since >= read_for_certain) unread_.erase(unread);
    }
  }
  if (server.replica()->io != ReplicaStatus::Io::no || server.replica()->sql)
    replicated_at_[server.id] = *server.evidence.report_until;
  server.trouble = why_not_well(cluster_, server, primary, now);
  if (stopped_by_restart(server, primary))
    return start(Duty::follow, server, order_to_follow(cluster_, server, primary), 20s, now);
  if (restart_applier(server, now)) return;
  // A source that is a replica itself waits for nobody.
  if (server.trouble.empty() && cluster_.follows(server, primary) && has_wrong_role(cluster_, server)) {
    Instant& next = next_semi_sync_[server.id];
    if (server.report().semi_sync.available && now >= next) {
      next = now + semi_sync_pause;
      return start(Duty::follow, server, order_to_follow(cluster_, server, primary), 20s, now);
    }
    server.trouble = why_wrong_role(server);
  }
  const auto request = requests_.find(server.id);
  if (request == requests_.end()) return;
  if (server.trouble.empty())
    return answer(server.id, true, server.name() + " replicates from " + primary.name());
  if (!server.errant.empty()) return answer(server.id, false, server.name() + " " + server.trouble);
}

}  // namespace pointsman::core
