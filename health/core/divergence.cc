// The caretaker's way with a server that has transactions which the primary has not.
#include <algorithm>

#include "health/core/caretaker.h"
#include "health/core/wording.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// Copying a large server takes hours; whoever waits for longer than this waits for nothing.
constexpr Duration longest_take_back = 24h;
// What a replica says when its source cannot read its own binary log for it, or has purged it; MySQL from 8.0
// on has a number of its own for that.
constexpr unsigned source_cannot_read = 1236;
constexpr unsigned source_cannot_read_mysql = 13114;
// So often must a server have said that its source cannot go on from where it is.
constexpr unsigned times_unread = 3;
// So much later than the server was started may be what is taken for it (Evidence::run_started()).
constexpr Duration uptime_slack = 2s;

// Whether another run of the server made the promise: it was frozen or cut off, or it has ended since. After
// a restart of ours that may not be known.
enum class Run { same, other, unknown };
Run run_since_promise(const Server& server) {
  const auto started = server.evidence.run_started();
  if (server.promise->process_ended) return Run::other;
  if (!server.reign_started || !started) return Run::unknown;
  return *started > *server.reign_started + uptime_slack ? Run::other : Run::same;
}

}  // namespace

bool Caretaker::ordered_to_discard(const Server& server) const {
  const auto request = requests_.find(server.id);
  return request != requests_.end() && request->second.discard &&
         (server.taking_back || !server.errant.empty() || is_unread(server.id));
}

bool Caretaker::stopped_unread(const Server& server, const Server& primary) const {
  const ReplicaStatus* replica = server.replica();
  if (replica == nullptr || replica->io == ReplicaStatus::Io::yes || !cluster_.follows(server, primary))
    return false;
  return replica->io_errno == source_cannot_read || replica->io_errno == source_cannot_read_mysql;
}

bool Caretaker::is_unread(BackendId backend) const {
  const auto found = unread_.find(backend);
  return found != unread_.end() && found->second.times >= times_unread;
}

// It has nothing of its own, but cannot go on from where it is: only other data help, and those are a
// person's to order, as a copy takes long and is a load for the primary.
void Caretaker::care_for_unread(Server& server, const Server& primary, Instant now) {
  const auto refused = refused_.find(server.id);
  if (refused == refused_.end() && ordered_to_discard(server))
    return take_back(server, primary, {true, "by the operator's order"}, now);
  std::string text = server.name() + " cannot go on as a replica of " + primary.name() + ", which does not " +
                     "have the binary logs for that or cannot read them (" + unread_[server.id].error + ")";
  if (refused != refused_.end()) {
    text += "; " + refused->second.why;
    server.trouble = "quarantined: " + text;
  } else {
    server.trouble = "quarantined: " + text + "; `pointsman rejoin " + server.name() +
                     " --discard` gives it a fresh copy of the data";
  }
  answer(server.id, false, text);
  put_in_quarantine(server, text);
}

Caretaker::Discard Caretaker::may_discard(const Server& server) const {
  if (ordered_to_discard(server)) return {true, "by the operator's order"};
  switch (cluster_.config.failover.discard) {
    case conf::Discard::never:
      return {false, "failover.discard is never"};
    case conf::Discard::always:
      return {true, "failover.discard is always"};
    case conf::Discard::unacknowledged:
      break;
  }
  if (!server.promise) return {false, "nothing is known of how it got them"};
  const Promise& promise = *server.promise;
  if (!promise.kept) return {false, "somebody may have been told that they are safe: " + promise.why};
  const Run run = run_since_promise(server);
  const std::string why = "never acknowledged: " + promise.why;
  if (run == Run::same && promise.for_ever) return {true, why};
  if (run == Run::other || promise.for_ever) return {true, why, promise.reign, promise.end_unseen};
  return {false,
          "it did not end for all that is known, and by now has answered whoever still waited there for a "
          "replica"};
}

// What may be lost was a guess while the old primary was away; now it shows what it has. What it was known to
// have and came back without stays lost.
void Caretaker::make_exact(Server& server, const Server& primary) {
  if (!server.promise || server.promise->kept) return;
  GtidSet exact = server.promise->at_stake.united(server.errant).minus(primary.report().executed);
  if (exact == server.promise->at_stake) return;
  server.promise->at_stake = std::move(exact);
  dirty_ = true;
}

void Caretaker::care_for_diverged(Server& server, const Server& primary, Instant now) {
  make_exact(server, primary);
  const auto refused = refused_.find(server.id);
  if (refused != refused_.end() && refused->second.errant == server.errant)
    return quarantine(server, primary, refused->second.why);
  // What was begun is ended, whatever the rules are now: half of it helps nobody.
  if (server.taking_back && server.taking_back->errant.contains(server.errant))
    return take_back(server, primary,
                     {true, "begun before", server.taking_back->reign, server.taking_back->not_if_shut_down},
                     now);
  const Discard discard = may_discard(server);
  if (!discard.allowed) return quarantine(server, primary, discard.why);
  take_back(server, primary, discard, now);
}

void Caretaker::take_back(Server& server, const Server& primary, const Discard& discard, Instant now) {
  server.trouble = server.errant.empty() && !server.taking_back
                       ? "is given a fresh copy of the data of " + primary.name() + " (" + discard.why + ")"
                       : transactions(server.errant.count()) + " that " + primary.name() +
                             " does not have are being saved and taken back (" + discard.why + ")";
  const bool again = server.taking_back && server.taking_back->errant.contains(server.errant);
  if (!again) server.taking_back = {server.errant, discard.reign, discard.not_if_shut_down};
  dirty_ = true;
  TakeBack order;
  order.backend = server.id;
  order.source = primary.id;
  order.errant = server.errant;
  order.keep = primary.report().executed;
  order.reign = discard.reign;
  order.not_if_shut_down = discard.not_if_shut_down;
  if (!again) outbox_.record(about("discard", cluster_, server, server.name() + ": " + server.trouble));
  const CommandId id = outbox_.take_back_once_stored(std::move(order));
  errands_.push_back({Duty::take_back, id, server.id, now, now + longest_take_back});
}

void Caretaker::on(const TookBack& event, Instant now) {
  const auto found =
      std::find_if(errands_.begin(), errands_.end(), [&](const Errand& e) { return e.id == event.id; });
  if (found == errands_.end()) return;
  const Errand errand = *found;
  errands_.erase(found);
  Server& server = cluster_.at(event.backend);
  if (!event.result) {
    outbox_.add(ProbeNow{server.id});
    // Of any other end it is not known how far it came.
    if (event.result.error().kind == FailureKind::unsupported) {
      server.taking_back.reset();
      dirty_ = true;
      refused_[server.id] = {server.errant, event.result.error().text};
    }
    const std::string what = server.errant.empty() ? "it could not be given other data: "
                                                   : "its own transactions could not be taken back: ";
    return failed(errand, what + event.result.error().text, now);
  }
  // What it reported before is not what it has now.
  server.evidence.on_command_ok(event.result->server, event.result->started, now);
  patience_.erase(server.id);
  unread_.erase(server.id);
  HistoryRecord record =
      about("discard", cluster_, server,
            server.name() + ": " +
                (server.errant.empty() ? "what was begun is done"
                                       : transactions(server.errant.count()) + " taken back") +
                ", " + event.result->how +
                (event.result->saved_in.empty() ? "" : "; saved in " + event.result->saved_in));
  record.steps = {{"take_back", now - errand.began, event.result->how}};
  if (!server.errant.empty()) record.lost = {server.errant.to_string()};
  outbox_.record(std::move(record));
  server.taking_back.reset();
  server.quarantined = false;
  server.errant = {};
  server.claim.reset();
  server.trouble.clear();
  dirty_ = true;
}

void Caretaker::quarantine(Server& server, const Server& primary, const std::string& why) {
  const std::string text = server.name() + " has " + transactions(server.errant.count()) + " that " +
                           primary.name() + " does not have: " + server.errant.to_string() + "; " + why;
  server.trouble = "quarantined: " + text + "; `pointsman rejoin " + server.name() +
                   " --discard` saves them and takes them back";
  answer(server.id, false, text + "; it cannot follow without losing them");
  put_in_quarantine(server, text);
}

// Told once.
void Caretaker::put_in_quarantine(Server& server, const std::string& text) {
  if (server.quarantined) return;
  server.quarantined = true;
  dirty_ = true;
  HistoryRecord record = about("quarantine", cluster_, server, text);
  if (!server.errant.empty()) record.lost = {server.errant.to_string()};
  outbox_.record(std::move(record));
}

}  // namespace pointsman::core
