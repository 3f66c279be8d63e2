#pragma once

#include <vector>

#include <prometheus/metric_family.h>

#include "health/core/time.h"
#include "proxy/metrics_snapshot.h"

namespace pointsman::proxy {

// A snapshot in Prometheus' form: names, units, help and labels of every metric that is ours. `now` is the
// moment of the scrape, from which ages count. Pure; any thread.
std::vector<prometheus::MetricFamily> metric_families(const MetricsSnapshot& snapshot, core::Instant now);

// The part of it that is about agents and links, at the end of `out`.
void add_agent_families(std::vector<prometheus::MetricFamily>& out, const MetricsSnapshot& snapshot,
                        core::Instant now);

// Memory, processor time, descriptors and start of this process, by the names that every Prometheus client
// uses. Reads /proc. Any thread.
std::vector<prometheus::MetricFamily> process_families();

}  // namespace pointsman::proxy
