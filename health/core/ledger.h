#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "health/core/semi_sync_phase.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

namespace pointsman::core {

// What the primary was known to have and whether its commits waited for a replica, kept so that a replica
// that is behind can be told from one that merely has not received the very last transactions, which were in
// flight when the primary died; and so that afterwards it is known what its clients can have been told. Fed
// by the probes that found it writable, and by its agent's heartbeats, which come more often and on a way of
// their own.
class PrimaryLedger {
 public:
  // How far back it looks. Less than a commit waits under `preferred`, or the oldest would prove nothing; and
  // long enough for a loaded server to commit two groups.
  static constexpr Duration span = std::chrono::seconds(2);

  void forget() { *this = {}; }
  // A new primary had this when it was promoted; nothing of it is in flight.
  void begin(const std::string& primary, const GtidSet& executed) {
    forget();
    began_with_ = executed;
    phase_.begin(primary, executed);
  }
  // The report is from after `started`, and came at `at`.
  void on_report(const ServerReport& report, Instant started, Instant at, Duration keep);
  // Its agent said at `at` that it has these, whatever else it has.
  void on_heard(const GtidSet& some, Instant at, Duration keep);

  // Everything that was ever reported or heard.
  GtidSet known() const;
  // It was asked for some report of those that are kept at `since` or later, and all of that is in `has`.
  bool vouches_for(const GtidSet& has, Instant since) const;
  // What had been there for at least `in_flight` at the last report: a replica without it is behind.
  GtidSet settled(Duration in_flight) const;
  // What may have been answered without a replica. Of commits that wait for ever only those may that were
  // there before any report says so: one that is heard of for long, also for longer than reports are kept,
  // may wait for an acknowledgement that cannot come.
  GtidSet answered_alone(Duration in_flight) const;
  // At the last report commits waited for a replica, so a replica has every acknowledged one.
  bool semi_sync_active() const { return !samples_.empty() && samples_.back().waits; }
  // At some report that is kept a commit would have waited for a replica, were it for one that is to come:
  // what is known to be committed may have been answered because of a replica, also when none was there any
  // more at the last report.
  bool relied_on_replicas() const;
  // What it had when it was promoted by us.
  const GtidSet& began_with() const { return began_with_; }
  bool has_samples() const { return !samples_.empty(); }
  // Whether its commits wait, and since when they do not.
  SemiSyncPhase& phase() { return phase_; }
  const SemiSyncPhase& phase() const { return phase_; }

  // At every report that is kept commits waited for a replica.
  bool waited_throughout() const;
  // At every report that is kept a commit would have waited for ever: however late the primary is seen to be
  // dead, nobody was answered without a replica.
  bool insisted_throughout() const;
  // The first moment at which a commit that waits in vain can have been answered without a replica; nullopt:
  // nothing is known of it. Commits wait one group after the other. When two groups were written since some
  // report, then the wait that runs now began after it.
  std::optional<Instant> gave_up_at_the_earliest() const;

 private:
  struct Sample {
    Instant started;
    Instant at;
    GtidSet executed;
    bool waits = false;       // for a replica that is there
    bool would_wait = false;  // for one, there or not
    bool waits_alone = false;
    bool insists = false;
    unsigned waiting = 0;  // sessions
    Duration patience{};   // how long one waits
  };
  struct Heard {
    Instant at;
    GtidSet some;
  };
  std::deque<Sample> samples_;  // bounded by `keep`, at least the newest two
  std::deque<Heard> heard_;     // likewise; those that said something new
  // What was there at the first of all the reports in a row, up to the last, at which commits waited for
  // ever. A row ends where none came for `keep`.
  std::optional<GtidSet> before_insisting_;
  GtidSet began_with_;
  SemiSyncPhase phase_;
};

}  // namespace pointsman::core
