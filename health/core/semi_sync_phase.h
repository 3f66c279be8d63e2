#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/config.h"
#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// Whether the primary's commits wait for a replica, and since when they do not. What it committed without
// one is lost when it dies before a replica has caught up, so the beginning of such a phase is kept durably:
// a daemon that is started later must know of it.
namespace pointsman::core {

// Since when a primary answers commits that no replica may have.
struct Degraded {
  std::string primary;       // name
  GtidSet since;             // the last that it was known to have while its commits waited for a replica
  GtidSet known;             // all that it may have answered without one, as far as that is known
  std::int64_t unix_ms = 0;  // when it was noticed; for people
  bool operator==(const Degraded&) const = default;
};

enum class SemiSyncState {
  unknown,      // it was not asked yet
  off,          // not wanted, or the server cannot
  waits,        // commits wait for a replica, and one has all that was ever answered
  degraded,     // commits are answered without a replica
  catching_up,  // they wait again, but what was answered before is not all on a replica yet
};
const char* to_string(SemiSyncState state);

// A position as people are told it.
inline std::string in_words(const GtidSet& position) {
  return position.empty() ? "its first transaction" : position.to_string();
}

class SemiSyncPhase {
 public:
  // What a report of the primary, or of a replica, means for it.
  enum class Sign { not_wanted, waits, alone, caught_up };
  enum class News { none, began, ended };

  struct Seen {
    const ServerReport& report;  // of the primary, which accepts writes
    Instant started;             // the report is from after this
    Instant at;                  // and came now
    conf::SemiSync mode = conf::SemiSync::preferred;
    std::int64_t unix_ms = 0;
  };

  // Another primary, which had `executed` when it became one; nullopt: it was found.
  void begin(std::string primary, std::optional<GtidSet> executed = {});
  // As an earlier daemon left it.
  void resume(Degraded mark);
  // `began`, once, when a phase without a replica is worth an entry in the history: commits did wait before,
  // or it has lasted for longer than the roles take to be set at a start. `ended` only after that.
  News on_primary(const Seen& seen);
  // A replica of it has, applied or not, all this.
  News on_replica(const GtidSet& holdings);
  // It was heard to have this, by whomever.
  void on_heard(const GtidSet& executed);

  SemiSyncState state() const { return state_; }
  // Present while `degraded` or `catching_up`.
  const std::optional<Degraded>& mark() const { return mark_; }
  // The mark is an earlier daemon's, and the primary has not been asked since.
  bool hearsay() const { return hearsay_; }

 private:
  News enter(Sign sign, const Seen* seen);

  SemiSyncState state_ = SemiSyncState::unknown;
  std::string primary_;
  std::optional<GtidSet> covered_;  // what it had when its commits were last known to wait
  std::optional<Degraded> mark_;
  Instant began_at_;
  bool abrupt_ = false;  // commits did wait before
  bool noted_ = false;
  bool hearsay_ = false;
  // While catching_up: the end of the first report by which commits waited again, and whether `known` is
  // final.
  Instant waits_since_;
  bool final_ = false;
};

}  // namespace pointsman::core
