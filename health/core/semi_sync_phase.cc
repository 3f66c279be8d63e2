#include "health/core/semi_sync_phase.h"

#include <array>
#include <utility>

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// The roles of a cluster that has just been found, or of a new primary whose replicas are being turned, are
// set within this.
constexpr Duration setting_up = 1s;

using State = SemiSyncState;
constexpr std::size_t states = 5;
constexpr std::size_t signs = 4;

// From a state, by a sign, to a state.
constexpr std::array<std::array<State, signs>, states> table = {{
    // clang-format off
    //               not_wanted   waits               alone            caught_up
    /* unknown */     {State::off, State::waits,       State::degraded, State::unknown},
    /* off */         {State::off, State::waits,       State::degraded, State::off},
    /* waits */       {State::off, State::waits,       State::degraded, State::waits},
    /* degraded */    {State::off, State::catching_up, State::degraded, State::degraded},
    /* catching_up */ {State::off, State::catching_up, State::degraded, State::waits},
    // clang-format on
}};

SemiSyncPhase::Sign sign_of(const SemiSyncPhase::Seen& seen) {
  const SemiSyncStatus& now = seen.report.semi_sync;
  if (seen.mode == conf::SemiSync::off) return SemiSyncPhase::Sign::not_wanted;
  // Who asks for `required` is promised more than a server without the plugin can keep.
  if (!now.available && seen.mode == conf::SemiSync::preferred) return SemiSyncPhase::Sign::not_wanted;
  return now.source_enabled && now.source_active ? SemiSyncPhase::Sign::waits : SemiSyncPhase::Sign::alone;
}

}  // namespace

const char* to_string(SemiSyncState state) {
  switch (state) {
    case State::unknown:
      return "unknown";
    case State::off:
      return "off";
    case State::waits:
      return "on";
    case State::degraded:
      return "degraded";
    case State::catching_up:
      return "catching_up";
  }
  return "?";
}

void SemiSyncPhase::begin(std::string primary, std::optional<GtidSet> executed) {
  *this = {};
  primary_ = std::move(primary);
  covered_ = std::move(executed);
}

void SemiSyncPhase::resume(Degraded mark) {
  *this = {};
  primary_ = mark.primary;
  mark_ = std::move(mark);
  state_ = State::degraded;
  noted_ = hearsay_ = true;
}

SemiSyncPhase::News SemiSyncPhase::enter(Sign sign, const Seen* seen) {
  const State before =
      std::exchange(state_, table.at(static_cast<std::size_t>(state_)).at(static_cast<std::size_t>(sign)));
  if (state_ == State::degraded && !mark_) {
    mark_ = Degraded{primary_, covered_.value_or(seen->report.executed), {}, seen->unix_ms};
    began_at_ = seen->at;
    abrupt_ = before == State::waits;
    noted_ = false;
  }
  if (state_ == State::catching_up && before == State::degraded) {
    waits_since_ = seen->at;
    final_ = false;
  }
  if (state_ == State::degraded || state_ == State::catching_up) return News::none;
  if (state_ == State::off) covered_.reset();
  if (!mark_) return News::none;
  mark_.reset();
  return std::exchange(noted_, false) ? News::ended : News::none;
}

SemiSyncPhase::News SemiSyncPhase::on_primary(const Seen& seen) {
  hearsay_ = false;
  const News news = enter(sign_of(seen), &seen);
  if (state_ == State::waits) covered_ = seen.report.executed;
  if (!mark_) return news;
  if (state_ == State::degraded) final_ = false;
  // A report says first what the server has and then whether commits wait. So what was answered without a
  // replica is surely in the second one after they wait again.
  // What it has is all that it has: a crash may have taken some of it.
  const GtidSet& executed = seen.report.executed;
  mark_->known = final_ ? mark_->known.minus(mark_->known.minus(executed)) : executed;
  if (state_ == State::catching_up && seen.started >= waits_since_) final_ = true;
  if (noted_ || (!abrupt_ && seen.at - began_at_ < setting_up)) return news;
  noted_ = true;
  return News::began;
}

SemiSyncPhase::News SemiSyncPhase::on_replica(const GtidSet& holdings) {
  if (state_ != State::catching_up || !final_ || !holdings.contains(mark_->known)) return News::none;
  covered_ = mark_->known;
  return enter(Sign::caught_up, nullptr);
}

void SemiSyncPhase::on_heard(const GtidSet& executed) {
  if (mark_ && !final_) mark_->known = mark_->known.united(executed);
}

}  // namespace pointsman::core
