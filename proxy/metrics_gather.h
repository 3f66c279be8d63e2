#pragma once

#include "proxy/admin_server.h"
#include "proxy/control.h"
#include "proxy/former_processes.h"
#include "proxy/heartbeats.h"
#include "proxy/history.h"
#include "proxy/hooks.h"
#include "proxy/metrics_snapshot.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// Where the metrics' values are. Control loop's thread.
struct MetricsSources {
  const Control& control;
  const Workers& workers;
  const AdminServer& admin;
  const History& history;
  const Hooks& hooks;
  const FormerProcesses& formers;
  const Heartbeats* heartbeats = nullptr;  // null: no backend has an agent
};

// Copies what is known now; some tens of microseconds. Control loop's thread.
MetricsSnapshot gather_metrics(const MetricsSources& sources, const MetricsCounts& counts, core::Instant now);

// The part that the decision core knows.
MetricsSnapshot::Backend gather_backend(const core::Server& server, const core::Cluster& cluster);

}  // namespace pointsman::proxy
