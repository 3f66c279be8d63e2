#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/cluster.h"
#include "health/core/controller.h"
#include "proxy/admin_server.h"
#include "proxy/hooks.h"
#include "proxy/link_report.h"
#include "proxy/metrics_counts.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// Everything that the metrics say, as plain values: made on the control loop, never changed afterwards, read
// by the threads that answer scrapes. Instants instead of ages, so that an age goes on growing when the loop
// does not run.
struct MetricsSnapshot {
  struct Link {
    core::LinkKind kind = core::LinkKind::udp;
    core::LinkState state = core::LinkState::off;
    std::optional<core::Instant> heard{};  // the last frame that counted
    LinkReport report{};
  };
  struct Agent {
    bool lease_held = false;
    bool lease_lost = false;
    bool fence_failed = false;
    core::MysqldState mysqld = core::MysqldState::unknown;
    core::Epoch epoch{};  // the highest that it was ever told
  };
  // What a server said of itself, while its last probe succeeded: an old answer is no figure of now.
  struct Report {
    bool read_only = false;
    bool semi_sync_source = false;
    bool semi_sync_replica = false;
    bool replicates = false;
    bool receiver_runs = false;
    bool applier_runs = false;
    std::optional<core::Duration> lag{};  // nullopt: the server does not know it
  };
  struct Backend {
    std::string name{};
    core::Verdict verdict = core::Verdict::suspect;
    core::Role role = core::Role::unknown;
    bool probe_ok = false;
    std::optional<core::Instant> probed{};  // the end of the last good probe
    std::uint64_t errant = 0;               // transactions that the primary does not have
    std::optional<Report> report{};
    std::optional<Agent> agent{};  // nullopt: it has none, or it was never heard
    std::vector<Link> links{};     // those that are configured
    std::uint64_t lost_frames = 0;
  };

  core::Instant taken{};
  core::State state = core::State::no_primary;
  bool route_open = false;  // new clients are connected to a primary
  core::Epoch epoch{};
  bool automatic = false;
  std::size_t warnings = 0;
  conf::Proxy limits{};
  conf::Heartbeat times{};
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
  core::SemiSyncState semi_sync_state = core::SemiSyncState::unknown;
  std::uint64_t at_stake = 0;  // transactions that only the primary has and its clients were answered
  SessionCounts sessions{};
  std::size_t former_processes = 0;
  std::uint64_t former_sessions = 0;
  std::uint64_t former_sessions_ended = 0;  // as drain_timeout was over
  AdminCounts admin{};
  std::uint64_t history_dropped = 0;
  HookCounts hooks{};
  std::vector<Backend> backends{};  // index == BackendId
  std::optional<HeartbeatPortReport> heartbeats{};
  MetricsCounts counts{};
};

}  // namespace pointsman::proxy
