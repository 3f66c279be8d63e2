#pragma once

#include <optional>
#include <string>

#include "health/core/gtid_set.h"
#include "health/core/ids.h"
#include "health/core/ledger.h"
#include "health/core/time.h"

// What the clients of a primary had been promised when it was replaced. Kept durably with that server until
// it is a replica again, because only when it returns can be seen what it had beyond its successor.
namespace pointsman::core {

struct Promise {
  std::string successor;  // name
  Epoch epoch;            // of the change that replaced it
  GtidSet safe;           // the successor has all of this
  GtidSet at_stake;  // known of the old one, not received, and somebody may have been told that it is safe
  GtidSet reign;     // committed by it as primary, for certain, some time before its end
  // Every commit waited for a replica until the end: what the successor never received was answered to
  // nobody.
  bool kept = false;
  // It would have waited for ever: this also holds for a server that was only frozen and goes on.
  bool for_ever = false;
  bool process_ended = false;  // surely: what returns is another run of the server
  // Nobody saw that it was killed, or that its clients were ended before: a MariaDB that is shut down answers
  // some of the commits that wait for a replica.
  bool end_unseen = false;
  std::string why;  // a sentence
  bool operator==(const Promise&) const = default;
};

// An order to take back a server's own transactions, until it has ended: whoever starts after us goes on with
// it.
struct TakingBack {
  GtidSet errant;
  GtidSet reign;  // as in TakeBack, and so the next
  bool not_if_shut_down = false;
  bool operator==(const TakingBack&) const = default;
};

struct PromiseFacts {
  const PrimaryLedger& ledger;     // of the old primary
  GtidSet received{};              // by the successor, its receiver stopped
  GtidSet missing{};               // surely acknowledged by the old one, and not received (Shortfall)
  bool all_asked = false;          // no other replica can have acknowledged what the successor lacks
  bool forgotten_by_both = false;  // Shortfall::forgotten_by_both
  bool let_go = false;             // Shortfall::let_go
  GtidSet last_word{};             // what the old one was last heard to have, by whomever
  // When the old primary can have answered its last commit; nullopt: nothing bounds it.
  std::optional<Instant> ended_at{};
  Duration in_flight{};  // as for PrimaryLedger::settled
};

// All but successor and epoch.
Promise weigh(const PromiseFacts& facts);

}  // namespace pointsman::core
