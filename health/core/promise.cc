#include "health/core/promise.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// Between the moment that a server gives up waiting and the moment that we take for it.
constexpr Duration clock_slack = 100ms;

// Why a commit can have been answered that the successor lacks; empty: none can.
std::string why_not_kept(const PromiseFacts& facts) {
  const PrimaryLedger& ledger = facts.ledger;
  if (!ledger.has_samples()) return "it was never seen whether its commits waited for a replica";
  if (ledger.settled(facts.in_flight).empty()) return "nothing is known of what it had committed";
  if (!facts.missing.empty() || !ledger.answered_alone(facts.in_flight).minus(facts.received).empty())
    return "it had committed transactions that its successor never received";
  if (facts.let_go)
    return "it was shut down while no replica was connected, and MySQL then answers commits that wait for "
           "one";
  if (facts.forgotten_by_both)
    return "it and its replica came back from crashes, and neither has what the replica may have "
           "acknowledged";
  if (!facts.all_asked) return "another replica may have acknowledged some, and could not be asked";
  if (ledger.insisted_throughout()) return "";
  if (!ledger.waited_throughout()) return "its commits did not wait for a replica";
  if (!facts.ended_at) return "nothing bounds the time at which it answered its last commit";
  const auto gave_up = ledger.gave_up_at_the_earliest();
  if (!gave_up || *facts.ended_at + clock_slack >= *gave_up)
    return "it may have waited for its replica in vain, and gone on without it";
  return "";
}

}  // namespace

Promise weigh(const PromiseFacts& facts) {
  Promise promise;
  promise.safe = facts.received;
  promise.reign = facts.ledger.settled(facts.in_flight);
  promise.why = why_not_kept(facts);
  promise.kept = promise.why.empty();
  promise.for_ever = promise.kept && facts.ledger.insisted_throughout();
  if (promise.kept) {
    promise.why = promise.for_ever ? "its commits waited for a replica, however long that took"
                                   : "its commits waited for a replica until its end";
  } else {
    promise.at_stake =
        facts.ledger.known().united(facts.last_word).united(facts.missing).minus(facts.received);
  }
  return promise;
}

}  // namespace pointsman::core
