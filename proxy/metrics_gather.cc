#include "proxy/metrics_gather.h"

namespace pointsman::proxy {

namespace {

using Snapshot = MetricsSnapshot;

Snapshot::Report report_of(const core::Server& server) {
  const core::ServerReport& said = server.report();
  Snapshot::Report report{.read_only = said.read_only,
                          .semi_sync_source = said.semi_sync.source_active,
                          .semi_sync_replica = said.semi_sync.replica_active};
  const core::ReplicaStatus* replica = server.replica();
  if (replica == nullptr) return report;
  report.replicates = true;
  report.receiver_runs = replica->io == core::ReplicaStatus::Io::yes;
  report.applier_runs = replica->sql;
  report.lag = replica->lag;
  return report;
}

std::optional<Snapshot::Agent> agent_of(const core::Server& server) {
  const auto& word = server.evidence.agent.word;
  if (!word) return std::nullopt;
  return Snapshot::Agent{.lease_held = word->lease_held,
                         .lease_lost = word->lease_lost,
                         .fence_failed = word->fence_failed,
                         .mysqld = word->mysqld,
                         .epoch = server.agent_epoch};
}

void add_links(Snapshot::Backend& backend, const core::Server& server, const Heartbeats& heartbeats) {
  backend.lost_frames = heartbeats.lost_frames(server.id);
  for (const core::LinkKind kind : {core::LinkKind::udp, core::LinkKind::serial}) {
    auto report = heartbeats.link_report(server.id, kind);
    if (!report) continue;
    backend.links.push_back({.kind = kind,
                             .state = server.links[core::index(kind)],
                             .heard = server.evidence.agent.heard[core::index(kind)],
                             .report = std::move(*report)});
  }
}

}  // namespace

Snapshot::Backend gather_backend(const core::Server& server, const core::Cluster& cluster) {
  const core::Evidence& evidence = server.evidence;
  Snapshot::Backend backend{.name = server.name(),
                            .verdict = server.judgement.verdict,
                            .role = cluster.role_of(server),
                            .probe_ok = evidence.answered() && !evidence.failure,
                            .probed = evidence.last_ok,
                            .errant = server.errant.count()};
  if (backend.probe_ok) backend.report = report_of(server);
  backend.agent = agent_of(server);
  return backend;
}

Snapshot gather_metrics(const MetricsSources& sources, const MetricsCounts& counts, core::Instant now) {
  const core::Controller& controller = sources.control.controller();
  const core::Cluster& cluster = controller.cluster();
  Snapshot snapshot{.taken = now,
                    .state = controller.state(),
                    .route_open = controller.route().mode == core::RouteMode::open,
                    .epoch = cluster.epoch,
                    .automatic = cluster.automatic,
                    .warnings = controller.warnings().size(),
                    .limits = sources.control.config().proxy,
                    .times = sources.control.config().heartbeat,
                    .semi_sync = sources.control.config().replication.semi_sync,
                    .semi_sync_state = controller.semi_sync().state(),
                    .at_stake = controller.at_stake().count(),
                    .sessions = sources.workers.counts(),
                    .former_processes = sources.formers.reports().size(),
                    .former_sessions = sources.formers.sessions(),
                    .former_sessions_ended = sources.formers.ended_by_timeout(),
                    .admin = sources.admin.counts(),
                    .history_dropped = sources.history.dropped(),
                    .hooks = sources.hooks.counts(),
                    .counts = counts};
  if (sources.heartbeats != nullptr) {
    snapshot.warnings += sources.heartbeats->warnings().size();
    snapshot.heartbeats = sources.heartbeats->port_report();
  }
  snapshot.backends.reserve(cluster.servers.size());
  for (const core::Server& server : cluster.servers) {
    snapshot.backends.push_back(gather_backend(server, cluster));
    if (sources.heartbeats != nullptr) add_links(snapshot.backends.back(), server, *sources.heartbeats);
  }
  return snapshot;
}

}  // namespace pointsman::proxy
