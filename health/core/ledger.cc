#include "health/core/ledger.h"

#include <algorithm>

namespace pointsman::core {

void PrimaryLedger::on_report(const ServerReport& report, Instant started, Instant at, Duration keep) {
  const SemiSyncStatus& now = report.semi_sync;
  // Nobody saw how commits waited meanwhile.
  if (!samples_.empty() && started - samples_.back().at > keep) before_insisting_.reset();
  samples_.push_back({.started = started,
                      .at = at,
                      .executed = report.executed,
                      .waits = now.source_enabled && now.source_active && now.source_clients > 0,
                      .would_wait = now.source_enabled && (now.source_active || now.source_insists),
                      .waits_alone = now.source_waits_alone,
                      .insists = now.source_enabled && now.source_insists,
                      .waiting = now.source_waiting,
                      .patience = now.source_timeout});
  while (samples_.size() > 2 && samples_[1].at + keep <= at) samples_.pop_front();
  if (!samples_.back().insists) {
    before_insisting_.reset();
  } else if (!before_insisting_) {
    before_insisting_ = report.executed;
  }
}

void PrimaryLedger::on_heard(const GtidSet& some, Instant at, Duration keep) {
  phase_.on_heard(some);
  // A heartbeat says nothing of how commits wait: without any report it proves nothing.
  if (samples_.empty() || samples_.back().executed.contains(some)) return;
  if (!heard_.empty() && heard_.back().some.contains(some)) return;
  heard_.push_back({at, some});
  while (heard_.size() > 2 && heard_[1].at + keep <= at) heard_.pop_front();
}

GtidSet PrimaryLedger::known() const {
  const GtidSet reported = samples_.empty() ? began_with_ : samples_.back().executed;
  return heard_.empty() ? reported : reported.united(heard_.back().some);
}

GtidSet PrimaryLedger::settled(Duration in_flight) const {
  if (samples_.empty()) return began_with_;
  const Instant last = heard_.empty() ? samples_.back().at : std::max(samples_.back().at, heard_.back().at);
  const auto old_enough = [&](const auto& item) { return last - item.at >= in_flight; };
  const auto sample = std::ranges::find_if(samples_.rbegin(), samples_.rend(), old_enough);
  const GtidSet reported = sample != samples_.rend() ? sample->executed : began_with_;
  const auto word = std::ranges::find_if(heard_.rbegin(), heard_.rend(), old_enough);
  return word != heard_.rend() ? reported.united(word->some) : reported;
}

GtidSet PrimaryLedger::answered_alone(Duration in_flight) const {
  return insisted_throughout() ? *before_insisting_ : settled(in_flight);
}

bool PrimaryLedger::vouches_for(const GtidSet& has, Instant since) const {
  return std::ranges::any_of(samples_, [&](const Sample& sample) {
    return sample.started >= since && has.contains(sample.executed);
  });
}

bool PrimaryLedger::relied_on_replicas() const {
  return std::ranges::any_of(samples_, &Sample::would_wait);
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
