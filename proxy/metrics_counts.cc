#include "proxy/metrics_counts.h"

#include <algorithm>

namespace pointsman::proxy {

namespace {

void count(ChangeCounts& counts, const core::HistoryRecord& record, std::int64_t unix_ms) {
  if (record.failed) {
    ++counts.failed;
    return;
  }
  ++counts.done;
  if (!record.lost.empty()) ++counts.with_loss;
  counts.last = {record.total.value_or(core::Duration::zero()), unix_ms, record.steps};
}

}  // namespace

void ProbeLatencies::add(core::Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bucket = std::ranges::lower_bound(bounds, seconds) - bounds.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += seconds;
}

std::array<std::uint64_t, ProbeLatencies::bounds.size() + 1> ProbeLatencies::cumulative() const {
  auto sums = counts_;
  for (std::size_t i = 1; i < sums.size(); ++i) sums[i] += sums[i - 1];
  return sums;
}

void MetricsCounts::on_event(const core::Event& event) {
  if (const auto* ok = std::get_if<core::ProbeSucceeded>(&event)) {
    probes[core::index(ok->backend)].latencies.add(ok->finished - ok->started);
  } else if (const auto* failed = std::get_if<core::ProbeFailed>(&event)) {
    ++probes[core::index(failed->backend)].failed[static_cast<std::size_t>(failed->failure.kind)];
  }
}

void MetricsCounts::on_record(const core::HistoryRecord& record, std::int64_t unix_ms) {
  if (record.kind == "step") return;
  const auto found = std::ranges::find(conf::event_kinds, record.kind);
  ++events[static_cast<std::size_t>(found - conf::event_kinds.begin())];
  if (record.kind == "failover") count(failovers, record, unix_ms);
  if (record.kind == "switchover") count(switchovers, record, unix_ms);
  if (record.kind == "refused") ++failovers_refused;
}

}  // namespace pointsman::proxy
