#include "health/core/ledger.h"

#include <algorithm>

namespace pointsman::core {

void PrimaryLedger::on_report(const ServerReport& report, Instant started, Instant at, Duration keep) {
  const SemiSyncStatus& now = report.semi_sync;
  samples_.push_back({.started = started,
                      .at = at,
                      .executed = report.executed,
                      .waits = now.source_enabled && now.source_active && now.source_clients > 0,
                      .waits_alone = now.source_waits_alone,
                      .insists = now.source_enabled && now.source_insists,
                      .waiting = now.source_waiting,
                      .patience = now.source_timeout});
  while (samples_.size() > 2 && samples_[1].at + keep <= at) samples_.pop_front();
}

GtidSet PrimaryLedger::settled(Duration in_flight) const {
  if (samples_.empty()) return began_with_;
  const Instant last = samples_.back().at;
  for (auto sample = samples_.rbegin(); sample != samples_.rend(); ++sample) {
    if (last - sample->at >= in_flight) return sample->executed;
  }
  return began_with_;
}

bool PrimaryLedger::waited_throughout() const {
  return !samples_.empty() && std::ranges::all_of(samples_, &Sample::waits);
}

bool PrimaryLedger::insisted_throughout() const {
  return !samples_.empty() && std::ranges::all_of(samples_, &Sample::insists);
}

std::optional<Instant> PrimaryLedger::gave_up_at_the_earliest() const {
  if (!waited_throughout() || !std::ranges::all_of(samples_, &Sample::waits_alone)) return std::nullopt;
  const Sample& last = samples_.back();
  if (last.waiting == 0) return last.started + last.patience;
  unsigned groups = 0;
  const GtidSet* later = &last.executed;
  for (auto sample = samples_.rbegin(); sample != samples_.rend(); ++sample) {
    if (sample->executed == *later) continue;
    later = &sample->executed;
    if (++groups == 2) return sample->started + last.patience;
  }
  return std::nullopt;
}

}  // namespace pointsman::core
