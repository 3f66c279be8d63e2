#include "health/core/cluster.h"

#include "health/core/topology.h"

namespace pointsman::core {

const char* to_string(Role role) {
  switch (role) {
    case Role::primary:
      return "primary";
    case Role::replica:
      return "replica";
    case Role::fenced:
      return "fenced";
    case Role::quarantined:
      return "quarantined";
    case Role::maintenance:
      return "maintenance";
    case Role::unknown:
      return "unknown";
  }
  return "?";
}

Cluster::Cluster(conf::Config settings, Instant now) : config(std::move(settings)) {
  automatic = config.failover.automatic;
  servers.reserve(config.backends.size());
  for (const auto& backend : config.backends) {
    servers.emplace_back(static_cast<BackendId>(servers.size()), backend, now);
  }
}

std::optional<BackendId> Cluster::find(std::string_view name) const {
  for (const auto& server : servers) {
    if (server.name() == name) return server.id;
  }
  return std::nullopt;
}

const Server* Cluster::source_of(const Server& server) const {
  const ReplicaStatus* status = server.replica();
  if (status == nullptr) return nullptr;
  for (const auto& other : servers) {
    if (other.id != server.id && other.settings.address == status->source) return &other;
  }
  // The same server under another address (a name, a private network). Ids count only when they tell two
  // servers apart.
  for (const auto& other : servers) {
    const bool known = other.answered() && status->source_server_id != 0;
    if (other.id != server.id && known && other.report().server_id == status->source_server_id &&
        other.report().server_id != server.report().server_id) {
      return &other;
    }
  }
  return nullptr;
}

void remember_servers(DurableState& durable, const Cluster& cluster) {
  durable.maintenance.clear();
  durable.quarantined.clear();
  durable.following.clear();
  durable.leased.clear();
  durable.taking_back.clear();
  durable.promises.clear();
  durable.leaders.clear();
  durable.events_due = cluster.events_due;
  for (const auto& server : cluster.servers) {
    if (server.maintenance) durable.maintenance.push_back(server.name());
    if (server.quarantined) durable.quarantined.push_back(server.name());
    if (server.being_turned) durable.following.push_back(server.name());
    if (server.leased) durable.leased.push_back(server.name());
    if (server.taking_back) durable.taking_back[server.name()] = *server.taking_back;
    if (server.promise) durable.promises[server.name()] = *server.promise;
    if (server.leader) durable.leaders[server.name()] = cluster.at(*server.leader).name();
  }
}

Role Cluster::role_of(const Server& server) const {
  if (server.maintenance) return Role::maintenance;
  if (primary == server.id) return Role::primary;
  if (server.quarantined) return Role::quarantined;
  if (server.fenced) return Role::fenced;
  const Server* source = primary_server();
  if (source != nullptr && server.answered() && (follows(server, *source) || is_chained(*this, server)))
    return Role::replica;
  return Role::unknown;
}

bool Cluster::guarded(const Server& server) const {
  const bool kept = config.heartbeat.lease > Duration::zero() && server.settings.has_agent() && server.leased;
  if (!kept) return false;
  // An agent that fell silent long before its server did has died, and nobody ends the lease then. That a
  // stall of ours is not held against either of them must not hide it.
  const auto& contact = server.evidence.true_contact();
  const Instant heard = server.evidence.agent.truly_heard_at.value_or(server.evidence.watched_since);
  return !contact || heard + config.heartbeat.warntime >= *contact;
}

JudgeTimes Cluster::judge_times() const {
  return {config.monitor.interval, config.monitor.timeout, config.heartbeat.deadtime,
          config.failover.refused_confirm, config.heartbeat.keepalive};
}

GtidSet awaiting_acknowledgement(const ServerReport& primary, const GtidSet& held) {
  if (primary.flavour == Flavour::mariadb || primary.semi_sync.source_waiting == 0) return {};
  return held.minus(primary.executed).of(primary.server_uuid);
}

bool audit(Server& server, const Server& primary) {
  if (!server.evidence.report_from || !primary.evidence.report_from) return false;
  const GtidSet& known = primary.report().executed;
  if (known.contains(server.report().executed)) {
    server.errant = {};
    server.claim.reset();
    return true;
  }
  // A claim is kept until the primary has spoken after it: with probes in lockstep the newest reports never
  // come in the right order.
  if (!server.claim) server.claim = {server.report().executed, *server.evidence.report_until};
  if (*primary.evidence.report_from < server.claim->taken) return false;
  const GtidSet extra = server.claim->executed.minus(known);
  server.errant = extra.minus(awaiting_acknowledgement(primary.report(), extra));
  server.claim.reset();
  return true;
}

}  // namespace pointsman::core
