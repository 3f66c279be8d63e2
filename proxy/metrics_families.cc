#include "proxy/metrics_families.h"

#include <chrono>
#include <limits>
#include <span>
#include <string>
#include <utility>

namespace pointsman::proxy {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

using Families = std::vector<MetricFamily>;
using Labels = std::vector<ClientMetric::Label>;
using Backend = MetricsSnapshot::Backend;
using Link = MetricsSnapshot::Link;

// Prometheus' own spelling of an instant or a time: a double of seconds.
double seconds(core::Duration d) {
  return std::chrono::duration<double>(d).count();
}

// One metric with all its series.
class Family {
 public:
  Family(Families& out, MetricType type, const char* name, const char* help) {
    out.push_back({name, help, type, {}});
    metric_ = &out.back();
  }

  Family& add(double value, Labels labels = {}) {
    ClientMetric& one = series(std::move(labels));
    (metric_->type == MetricType::Counter ? one.counter.value : one.gauge.value) = value;
    return *this;
  }
  Family& add(std::uint64_t value, Labels labels = {}) {
    return add(static_cast<double>(value), std::move(labels));
  }
  Family& add(bool value, Labels labels = {}) { return add(value ? 1.0 : 0.0, std::move(labels)); }

  // A series for each of `values`; the one that holds is 1.
  template <class E>
  void add_states(E present, std::initializer_list<E> values, const char* label, const Labels& labels = {}) {
    for (const E value : values) {
      Labels all = labels;
      all.push_back({label, core::to_string(value)});
      add(value == present, std::move(all));
    }
  }

  ClientMetric& series(Labels labels) {
    metric_->metric.emplace_back();
    metric_->metric.back().label = std::move(labels);
    return metric_->metric.back();
  }

 private:
  MetricFamily* metric_;  // the last one of the list, until the next Family is made
};

Family gauge(Families& out, const char* name, const char* help) {
  return {out, MetricType::Gauge, name, help};
}
Family counter(Families& out, const char* name, const char* help) {
  return {out, MetricType::Counter, name, help};
}

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
  gauge(out, "pointsman_warnings", "Number of warnings that `pointsman status` shows.")
      .add(static_cast<double>(s.warnings));
  counter(out, "pointsman_history_dropped_lines_total", "Lines of history.jsonl that the disk did not take.")
      .add(s.history_dropped);

  Family events = counter(out, "pointsman_events_total", "Events of the history, by kind.");
  for (std::size_t i = 0; i < MetricsCounts::event_kinds.size(); ++i)
    events.add(s.counts.events[i], {{"kind", std::string(MetricsCounts::event_kinds[i])}});

  Family requests =
      counter(out, "pointsman_admin_requests_total", "Requests on the admin socket, by outcome.");
  requests.add(s.admin.requests, {{"outcome", "taken"}});
  requests.add(s.admin.bad_requests + s.admin.oversized, {{"outcome", "malformed"}});
  requests.add(s.admin.refused_full, {{"outcome", "refused"}});
  requests.add(s.admin.timed_out + s.admin.left_early, {{"outcome", "unfinished"}});
  requests.add(s.admin.dropped_slow, {{"outcome", "dropped"}});
}

// --- clients

void add_clients(Families& out, const MetricsSnapshot& s) {
  gauge(out, "pointsman_sessions_active", "Clients that are connected, or being connected, to a server.")
      .add(s.sessions.active);
  gauge(out, "pointsman_sessions_held", "Clients that wait for a server.").add(s.sessions.held);
  gauge(out, "pointsman_sessions_limit", "proxy.max_connections: active and held clients together.")
      .add(static_cast<double>(s.limits.max_connections));
  gauge(out, "pointsman_sessions_held_limit", "proxy.max_held.").add(static_cast<double>(s.limits.max_held));
  counter(out, "pointsman_sessions_total", "Clients that were accepted.").add(s.sessions.total);
  counter(out, "pointsman_holds_total", "Times that a client had to wait for a server.")
      .add(s.sessions.holds);
  Family refused =
      counter(out, "pointsman_refused_clients_total", "Clients that got an error from the proxy itself.");
  refused.add(s.sessions.refused_max_connections, {{"reason", "max_connections"}});
  refused.add(s.sessions.refused_max_held, {{"reason", "max_held"}});
  refused.add(s.sessions.hold_timeouts, {{"reason", "hold_timeout"}});
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

// --- agents and links

void add_agents(Families& out, const MetricsSnapshot& s) {
  const auto each = [&](const auto& add) {
    for (const Backend& b : s.backends) {
      if (b.agent) add(b.name, *b.agent);
    }
  };
  Family held = gauge(out, "pointsman_agent_lease_held",
                      "1 when the agent, by its newest word, holds the lease to let its server take writes.");
  each([&](const auto& name, const auto& a) { held.add(a.lease_held, {{"backend", name}}); });
  Family lost =
      gauge(out, "pointsman_agent_lease_lost", "1 when the agent stopped writes as its lease ran out.");
  each([&](const auto& name, const auto& a) { lost.add(a.lease_lost, {{"backend", name}}); });
  Family fence =
      gauge(out, "pointsman_agent_fence_failed", "1 when the agent could not carry out a fence order.");
  each([&](const auto& name, const auto& a) { fence.add(a.fence_failed, {{"backend", name}}); });
  Family epoch = gauge(out, "pointsman_agent_epoch", "The highest epoch that the agent was ever told.");
  each([&](const auto& name, const auto& a) { epoch.add(a.epoch.value, {{"backend", name}}); });
  Family mysqld = gauge(out, "pointsman_agent_mysqld_state",
                        "What the agent sees of its server: the state that holds is 1.");
  each([&](const auto& name, const auto& a) {
    using enum core::MysqldState;
    mysqld.add_states(a.mysqld, {unknown, absent, answers, silent, dying, exited}, "state",
                      {{"backend", name}});
  });
}

template <class Add>
void each_link(const MetricsSnapshot& s, const Add& add) {
  for (const Backend& b : s.backends) {
    for (const Link& link : b.links)
      add(link, Labels{{"backend", b.name}, {"link", core::to_string(link.kind)}});
  }
}

void add_refusals(Family& family, const std::array<std::uint64_t, core::frame_refusals>& refused,
                  const Labels& labels) {
  for (std::size_t i = 0; i < refused.size(); ++i) {
    Labels all = labels;
    all.push_back({"reason", core::to_string(static_cast<core::FrameRefusal>(i))});
    family.add(refused[i], std::move(all));
  }
}

void add_links(Families& out, const MetricsSnapshot& s, core::Instant now) {
  Family state = gauge(out, "pointsman_link_state", "State of a link to an agent: the one that holds is 1.");
  each_link(s, [&](const Link& link, const Labels& labels) {
    using enum core::LinkState;
    state.add_states(link.state, {alive, late, dead}, "state", labels);
  });
  Family age = gauge(out, "pointsman_link_age_seconds", "Time since the last frame that counted.");
  each_link(s, [&](const Link& link, Labels labels) {
    if (link.heard) age.add(seconds(now - *link.heard), std::move(labels));
  });
  Family gap = gauge(out, "pointsman_link_longest_gap_seconds",
                     "Longest time between two frames since the link came up.");
  each_link(s, [&](const Link& link, Labels labels) {
    gap.add(seconds(link.report.longest_gap), std::move(labels));
  });
  const auto count = [&](const char* name, const char* help, std::uint64_t LinkReport::* member) {
    Family family = counter(out, name, help);
    each_link(s,
              [&](const Link& link, Labels labels) { family.add(link.report.*member, std::move(labels)); });
  };
  count("pointsman_link_sent_frames_total", "Frames to the agent.", &LinkReport::sent);
  count("pointsman_link_received_frames_total", "Frames of the agent that counted.", &LinkReport::received);
  count("pointsman_link_late_frames_total", "Frames that came more than warntime after the one before.",
        &LinkReport::late);
  Family refused = counter(out, "pointsman_link_refused_frames_total",
                           "Frames in the agent's name that did not count, by reason.");
  each_link(
      s, [&](const Link& link, const Labels& labels) { add_refusals(refused, link.report.refused, labels); });
}

void add_lines(Families& out, const MetricsSnapshot& s) {
  const auto count = [&](const char* name, const char* help, std::uint64_t io::LinkStats::* member) {
    Family family = counter(out, name, help);
    for (const Backend& b : s.backends) {
      for (const Link& link : b.links) {
        if (link.report.line) family.add(link.report.line->stats.*member, {{"backend", b.name}});
      }
    }
  };
  count("pointsman_serial_received_bytes_total", "Bytes from a serial line, noise included.",
        &io::LinkStats::bytes_in);
  count("pointsman_serial_sent_bytes_total", "Bytes to a serial line.", &io::LinkStats::bytes_out);
  count("pointsman_serial_noise_bytes_total", "Bytes from a serial line that were no frame.",
        &io::LinkStats::noise_bytes);
  count("pointsman_serial_dropped_frames_total",
        "Frames that were not sent: a newer one came first, or the line stood.",
        &io::LinkStats::dropped_late);
  count("pointsman_serial_reopened_total", "Times that a serial device came back.", &io::LinkStats::reopened);
}

void add_heartbeat_port(Families& out, const HeartbeatPortReport& port) {
  Family unknown = counter(out, "pointsman_unknown_frames_total",
                           "Frames that came in the name of no agent of ours, by kind of link and reason.");
  for (const core::LinkKind kind : {core::LinkKind::udp, core::LinkKind::serial})
    add_refusals(unknown, port.unknown[core::index(kind)], {{"link", core::to_string(kind)}});
  if (!port.bound) return;
  counter(out, "pointsman_udp_dropped_datagrams_total",
          "Heartbeats over UDP: in: the kernel's buffer was full; out: could not be sent; oversized: too "
          "long to be one.")
      .add(port.receive_drops, {{"reason", "in"}})
      .add(port.stats.dropped_late, {{"reason", "out"}})
      .add(port.stats.oversized, {{"reason", "oversized"}});
  counter(out, "pointsman_udp_received_bytes_total", "Bytes that came on the heartbeat port.")
      .add(port.stats.bytes_in);
  counter(out, "pointsman_udp_sent_bytes_total", "Bytes sent from the heartbeat port.")
      .add(port.stats.bytes_out);
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
  add_agents(out, snapshot);
  add_links(out, snapshot, now);
  add_lines(out, snapshot);
  if (snapshot.heartbeats) add_heartbeat_port(out, *snapshot.heartbeats);
  std::erase_if(out, [](const MetricFamily& family) { return family.metric.empty(); });
  return out;
}

}  // namespace pointsman::proxy
