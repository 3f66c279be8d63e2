#include "proxy/metrics_families.h"

#include <array>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "proxy/metrics_family.h"

namespace pointsman::proxy {

namespace {

using Backend = MetricsSnapshot::Backend;

// --- the daemon

void add_daemon(Families& out, const MetricsSnapshot& s, core::Instant now) {
  gauge(out, "pointsman_build_info", "Always 1; the label is the version.")
      .add(1.0, {{"version", POINTSMAN_VERSION}});
  gauge(out, "pointsman_snapshot_age_seconds",
        "Age of the values of this scrape. Beyond some seconds: the daemon's control loop does not run.")
      .add(seconds(now - s.taken));
  gauge(out, "pointsman_state", "What the daemon is doing: the state that holds is 1.")
      .add_states(s.state,
                  {core::State::steady, core::State::failing_over, core::State::switching_over,
                   core::State::no_primary, core::State::paused},
                  "state");
  gauge(out, "pointsman_route_open", "1 while new clients are connected to a primary, 0 while they are held.")
      .add(s.route_open);
  gauge(out, "pointsman_epoch", "Number of the present reign; each change of primary takes a new one.")
      .add(s.epoch.value);
  gauge(out, "pointsman_automatic_failover", "1 while a dead primary is replaced without an operator.")
      .add(s.automatic);
  Family mode = gauge(out, "pointsman_semi_sync_mode", "replication.semi_sync: the mode that is set is 1.");
  mode.add(s.semi_sync == conf::SemiSync::required, {{"mode", "required"}});
  mode.add(s.semi_sync == conf::SemiSync::preferred, {{"mode", "preferred"}});
  mode.add(s.semi_sync == conf::SemiSync::off, {{"mode", "off"}});
  using enum core::SemiSyncState;
  gauge(out, "pointsman_semi_sync_state",
        "Whether the primary's commits wait for a replica: the state that holds is 1.")
      .add_states(s.semi_sync_state, {unknown, off, waits, degraded, catching_up}, "state");
  gauge(out, "pointsman_at_stake_transactions",
        "Transactions that were answered and that no replica has, as far as is known; at most so many.")
      .add(s.at_stake);
  gauge(out, "pointsman_warnings", "Number of warnings that `pointsman status` shows.")
      .add(static_cast<double>(s.warnings));
  counter(out, "pointsman_history_dropped_lines_total", "Lines of history.jsonl that the disk did not take.")
      .add(s.history_dropped);

  Family events = counter(out, "pointsman_events_total", "Events of the history, by kind.");
  for (std::size_t i = 0; i < conf::event_kinds.size(); ++i)
    events.add(s.counts.events[i], {{"kind", std::string(conf::event_kinds[i])}});
  events.add(s.counts.events.back(), {{"kind", "other"}});

  counter(out, "pointsman_hooks_total", "Events that hooks.command was to be run for, by how that ended.")
      .add(s.hooks.done, {{"outcome", "done"}})
      .add(s.hooks.failed, {{"outcome", "failed"}})
      .add(s.hooks.timed_out, {{"outcome", "timed_out"}})
      .add(s.hooks.not_started, {{"outcome", "not_started"}})
      .add(s.hooks.dropped, {{"outcome", "dropped"}});

  Family requests =
      counter(out, "pointsman_admin_requests_total", "Requests on the admin socket, by outcome.");
  requests.add(s.admin.requests, {{"outcome", "taken"}});
  requests.add(s.admin.bad_requests + s.admin.oversized, {{"outcome", "malformed"}});
  requests.add(s.admin.refused_full, {{"outcome", "refused"}});
  requests.add(s.admin.timed_out + s.admin.left_early, {{"outcome", "unfinished"}});
  requests.add(s.admin.dropped_slow, {{"outcome", "dropped"}});
}

// --- clients

// In the order of proxy_header::Fault.
constexpr std::array<const char*, proxy_header::fault_count> refused_header_reasons{
    "proxy_header_absent",   "proxy_header_version_1", "proxy_header_broken",
    "proxy_header_too_long", "proxy_header_late",      "proxy_header_untrusted"};

void add_clients(Families& out, const MetricsSnapshot& s) {
  gauge(out, "pointsman_sessions_active", "Clients that are connected, or being connected, to a server.")
      .add(s.sessions.active);
  gauge(out, "pointsman_sessions_held", "Clients that wait for a server.").add(s.sessions.held);
  gauge(out, "pointsman_sessions_limit", "proxy.max_connections: active and held clients together.")
      .add(static_cast<double>(s.limits.max_connections));
  gauge(out, "pointsman_sessions_held_limit", "proxy.max_held.").add(static_cast<double>(s.limits.max_held));
  counter(out, "pointsman_sessions_total", "Clients that were accepted.").add(s.sessions.total);
  gauge(out, "pointsman_former_processes", "Processes whose place was taken and that still serve sessions.")
      .add(static_cast<double>(s.former_processes));
  gauge(out, "pointsman_former_sessions", "Clients that former processes serve or hold.")
      .add(s.former_sessions);
  counter(out, "pointsman_former_sessions_ended_total", "Their sessions that proxy.drain_timeout ended.")
      .add(s.former_sessions_ended);
  counter(out, "pointsman_holds_total", "Times that a client had to wait for a server.")
      .add(s.sessions.holds);
  Family refused =
      counter(out, "pointsman_refused_clients_total", "Clients that got an error from the proxy itself.");
  refused.add(s.sessions.refused_max_connections, {{"reason", "max_connections"}});
  refused.add(s.sessions.refused_max_held, {{"reason", "max_held"}});
  refused.add(s.sessions.hold_timeouts, {{"reason", "hold_timeout"}});
  for (std::size_t i = 0; i < s.sessions.refused_headers.size(); ++i)
    refused.add(s.sessions.refused_headers[i], {{"reason", refused_header_reasons[i]}});
  Family ended = counter(out, "pointsman_sessions_ended_total", "Sessions that ended, by what.");
  for (std::size_t i = 0; i < s.sessions.ended.size(); ++i)
    ended.add(s.sessions.ended[i], {{"reason", to_string(static_cast<SessionEnd>(i))}});
  counter(out, "pointsman_accept_pauses_total",
          "Times that accepting paused for want of file descriptors or memory.")
      .add(s.sessions.accept_pauses);
  counter(out, "pointsman_relayed_bytes_total", "Bytes between clients and servers.")
      .add(s.sessions.bytes_from_clients, {{"direction", "to_server"}})
      .add(s.sessions.bytes_from_servers, {{"direction", "to_client"}});
}

// --- changes of primary

void add_last_changes(Families& out, std::span<const std::pair<const char*, const ChangeCounts*>> changes) {
  const auto each = [&](const auto& add) {
    for (const auto& [kind, counts] : changes) {
      if (counts->last) add(kind, *counts->last);
    }
  };
  Family total = gauge(out, "pointsman_last_change_duration_seconds",
                       "The last change of primary that was done, from the evidence to the opened route.");
  each([&](const char* kind, const ChangeCounts::Last& last) {
    total.add(seconds(last.total), {{"kind", kind}});
  });
  Family steps = gauge(out, "pointsman_last_change_step_duration_seconds", "Each step of it.");
  each([&](const char* kind, const ChangeCounts::Last& last) {
    for (const auto& step : last.steps) steps.add(seconds(step.took), {{"kind", kind}, {"step", step.name}});
  });
  Family when = gauge(out, "pointsman_last_change_timestamp_seconds", "When it was done.");
  each([&](const char* kind, const ChangeCounts::Last& last) {
    when.add(static_cast<double>(last.unix_ms) / 1000, {{"kind", kind}});
  });
}

void add_changes(Families& out, const MetricsCounts& counts) {
  counter(out, "pointsman_failovers_total",
          "Failovers by outcome; refused: a verdict called for one, and something forbade it.")
      .add(counts.failovers.done, {{"outcome", "done"}})
      .add(counts.failovers.failed, {{"outcome", "failed"}})
      .add(counts.failovers_refused, {{"outcome", "refused"}});
  counter(out, "pointsman_switchovers_total", "Switchovers by outcome.")
      .add(counts.switchovers.done, {{"outcome", "done"}})
      .add(counts.switchovers.failed, {{"outcome", "failed"}});
  counter(out, "pointsman_failovers_with_loss_total", "Failovers that may have lost transactions.")
      .add(counts.failovers.with_loss);
  const std::pair<const char*, const ChangeCounts*> both[] = {{"failover", &counts.failovers},
                                                              {"switchover", &counts.switchovers}};
  add_last_changes(out, both);
}

// --- servers

void add_histogram(Family& family, const ProbeLatencies& latencies, Labels labels) {
  ClientMetric::Histogram& histogram = family.series(std::move(labels)).histogram;
  const auto sums = latencies.cumulative();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const bool last = i == ProbeLatencies::bounds.size();
    histogram.bucket.push_back(
        {sums[i], last ? std::numeric_limits<double>::infinity() : ProbeLatencies::bounds[i]});
  }
  histogram.sample_count = sums.back();
  histogram.sample_sum = latencies.sum_seconds();
}

void add_probes(Families& out, const MetricsSnapshot& s, core::Instant now) {
  Family ok = gauge(out, "pointsman_backend_probe_ok", "1 when the last SQL probe was answered.");
  for (const Backend& b : s.backends) ok.add(b.probe_ok, {{"backend", b.name}});
  Family age =
      gauge(out, "pointsman_backend_probe_age_seconds", "Time since the last SQL probe that was answered.");
  for (const Backend& b : s.backends) {
    if (b.probed) age.add(seconds(now - *b.probed), {{"backend", b.name}});
  }
  Family latency(out, MetricType::Histogram, "pointsman_backend_probe_latency_seconds",
                 "How long the SQL probes took that were answered.");
  for (std::size_t i = 0; i < s.backends.size(); ++i)
    add_histogram(latency, s.counts.probes[i].latencies, {{"backend", s.backends[i].name}});
  Family failed = counter(out, "pointsman_backend_probe_failures_total", "SQL probes that failed, by kind.");
  for (std::size_t i = 0; i < s.backends.size(); ++i) {
    for (std::size_t kind = 0; kind < ProbeCounts::kinds; ++kind) {
      failed.add(
          s.counts.probes[i].failed[kind],
          {{"backend", s.backends[i].name}, {"kind", core::to_string(static_cast<core::FailureKind>(kind))}});
    }
  }
}

void add_backends(Families& out, const MetricsSnapshot& s) {
  Family verdict =
      gauge(out, "pointsman_backend_verdict", "How a server is judged: the verdict that holds is 1.");
  for (const Backend& b : s.backends) {
    using enum core::Verdict;
    verdict.add_states(b.verdict, {up, degraded, suspect, crashed, hung, cut_off, dead}, "verdict",
                       {{"backend", b.name}});
  }
  Family role = gauge(out, "pointsman_backend_role", "What a server is: the role that holds is 1.");
  for (const Backend& b : s.backends) {
    using enum core::Role;
    role.add_states(b.role, {primary, replica, fenced, quarantined, maintenance, unknown}, "role",
                    {{"backend", b.name}});
  }
  Family sessions = gauge(out, "pointsman_backend_sessions", "Clients on this server.");
  for (std::size_t i = 0; i < s.backends.size(); ++i)
    sessions.add(s.sessions.active_by_backend[i], {{"backend", s.backends[i].name}});
  Family errant = gauge(out, "pointsman_backend_errant_transactions",
                        "Transactions that the primary does not have; at most so many.");
  for (const Backend& b : s.backends) errant.add(b.errant, {{"backend", b.name}});
}

// What servers say of themselves; no series while they do not answer.
void add_reports(Families& out, const MetricsSnapshot& s) {
  const auto each = [&](const auto& add) {
    for (const Backend& b : s.backends) {
      if (b.report) add(b.name, *b.report);
    }
  };
  Family read_only =
      gauge(out, "pointsman_backend_read_only", "1 when it takes no writes from applications.");
  each([&](const auto& name, const auto& r) { read_only.add(r.read_only, {{"backend", name}}); });
  Family semi_sync =
      gauge(out, "pointsman_backend_semi_sync_active",
            "source: its commits wait for a replica; replica: it acknowledges what it receives.");
  each([&](const auto& name, const auto& r) {
    semi_sync.add(r.semi_sync_source, {{"backend", name}, {"side", "source"}});
    semi_sync.add(r.semi_sync_replica, {{"backend", name}, {"side", "replica"}});
  });
  Family runs =
      gauge(out, "pointsman_backend_replication_running",
            "Of a server that is set up as a replica: 1 when the receiver (io), the applier (sql) runs.");
  each([&](const auto& name, const auto& r) {
    if (!r.replicates) return;
    runs.add(r.receiver_runs, {{"backend", name}, {"thread", "io"}});
    runs.add(r.applier_runs, {{"backend", name}, {"thread", "sql"}});
  });
  Family lag = gauge(out, "pointsman_backend_replication_lag_seconds",
                     "Of a replica, as it says itself; none while it does not know.");
  each([&](const auto& name, const auto& r) {
    if (r.lag) lag.add(seconds(*r.lag), {{"backend", name}});
  });
}

}  // namespace

std::vector<MetricFamily> metric_families(const MetricsSnapshot& snapshot, core::Instant now) {
  Families out;
  out.reserve(80);
  add_daemon(out, snapshot, now);
  add_clients(out, snapshot);
  add_changes(out, snapshot.counts);
  add_backends(out, snapshot);
  add_probes(out, snapshot, now);
  add_reports(out, snapshot);
  add_agent_families(out, snapshot, now);
  std::erase_if(out, [](const MetricFamily& family) { return family.metric.empty(); });
  return out;
}

}  // namespace pointsman::proxy
