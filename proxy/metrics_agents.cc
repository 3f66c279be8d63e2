#include <array>
#include <string>
#include <utility>

#include "proxy/metrics_families.h"
#include "proxy/metrics_family.h"

namespace pointsman::proxy {

namespace {

using Backend = MetricsSnapshot::Backend;
using Link = MetricsSnapshot::Link;

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

void add_losses(Families& out, const MetricsSnapshot& s) {
  Family lost = counter(out, "pointsman_agent_lost_frames_total",
                        "Frames of the agent that never counted, on all links together.");
  for (const Backend& b : s.backends) {
    if (!b.links.empty()) lost.add(b.lost_frames, {{"backend", b.name}});
  }
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

void add_heartbeat_port(Families& out, const MetricsSnapshot& s, const HeartbeatPortReport& port) {
  gauge(out, "pointsman_heartbeat_warntime_seconds", "heartbeat.warntime.").add(seconds(s.times.warntime));
  gauge(out, "pointsman_heartbeat_deadtime_seconds", "heartbeat.deadtime.").add(seconds(s.times.deadtime));
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

void add_agent_families(std::vector<MetricFamily>& out, const MetricsSnapshot& snapshot, core::Instant now) {
  add_agents(out, snapshot);
  add_links(out, snapshot, now);
  add_losses(out, snapshot);
  add_lines(out, snapshot);
  if (snapshot.heartbeats) add_heartbeat_port(out, snapshot, *snapshot.heartbeats);
}

}  // namespace pointsman::proxy
