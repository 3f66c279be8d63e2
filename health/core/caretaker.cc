#include "health/core/caretaker.h"

#include <algorithm>

#include "health/core/topology.h"
#include "health/core/wording.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_pause = 500ms;
constexpr Duration longest_pause = 15s;
constexpr Duration longest_rejoin = 30s;

std::string receiver_error(const ReplicaStatus& replica) {
  return "error " + std::to_string(replica.io_errno) + ": " + replica.io_error;
}

}  // namespace

HistoryRecord about(const std::string& kind, const Cluster& cluster, const Server& server,
                    std::string message) {
  HistoryRecord record;
  record.kind = kind;
  record.epoch = cluster.epoch;
  record.backend = server.name();
  record.message = std::move(message);
  return record;
}

void Caretaker::care(Instant now) {
  Server* primary = cluster_.primary_server();
  if (primary == nullptr) return;
  for (auto& server : cluster_.servers) {
    if (server.maintenance || !server.up() || occupied(server.id)) continue;
    if (must_wait(server, server.id == primary->id, now)) continue;
    if (server.id == primary->id) {
      care_for_primary(server, now);
      if (!occupied(server.id)) care_for_events(server, now);
    } else {
      care_for_other(server, *primary, now);
    }
  }
}

bool Caretaker::must_wait(const Server& server, bool is_primary, Instant now) const {
  const auto found = patience_.find(server.id);
  if (found == patience_.end() || now >= found->second.not_before) return false;
  // A second writer is stopped at once, and a primary that may write again does, whatever else did not work
  // before.
  if (is_primary) return server.writable() || found->second.duty == Duty::reinstate;
  return !server.writable() || found->second.duty == Duty::make_read_only;
}

void Caretaker::care_for_other(Server& server, const Server& primary, Instant now) {
  if (server.writable()) {
    server.trouble = "accepts writes although " + primary.name() + " is the primary";
    server.read_only_by_us = true;
    return start(Duty::make_read_only, server, MakeReadOnly{.timeout = 2s, .end_clients = true}, 10s, now);
  }
  if (being_taken_back(server.id)) return;
  const bool stopped = server.replica() != nullptr && server.replica()->io == ReplicaStatus::Io::no;
  const bool placed =
      cluster_.follows(server, primary) || (keeps_chain(cluster_, server) && !requests_.contains(server.id));
  // One that is half turned would apply before its role is set.
  if (server.receiver_stopped_by_us && stopped && placed && !server.being_turned) {
    return start(Duty::resume, server, ResumeReceiving{}, 10s, now);
  }
  // Nothing is decided about others on the word of a primary that may have been replaced or restarted
  // meanwhile.
  if (!primary.up() || !primary.writable()) return;

  if (!audit(server, primary)) return;
  if (server.errant.empty() && server.quarantined && !is_unread(server.id)) {
    server.quarantined = false;
    dirty_ = true;
  }
  // No errand of ours runs here: an order to follow that was not seen to its end is given again.
  const bool in_place = placed && !server.being_turned && !server.taking_back;
  const bool unread = server.errant.empty() && stopped_unread(server, primary);
  if (in_place && !unread && !ordered_to_discard(server)) return watch_replica(server, primary, now);
  care_for_stray(server, primary, now);
}

void Caretaker::care_for_stray(Server& server, const Server& primary, Instant now) {
  if (server.taking_back || !server.errant.empty()) return care_for_diverged(server, primary, now);
  if (is_unread(server.id)) return care_for_unread(server, primary, now);
  if (server.report().sources > 1) {
    server.trouble = "replicates from several sources, which is not supported";
    return;
  }
  if (server.report().executed.empty() && !primary.report().executed.empty() && server.replica() == nullptr) {
    server.trouble = "is empty and was never a replica: copy the data of " + primary.name() + " to it first";
    return answer(server.id, false, server.name() + " " + server.trouble);
  }
  // The audit may speak of an earlier moment, as after a crash recovery; what is turned round must be known
  // to the primary now.
  if (!primary.report().executed.contains(server.report().executed)) return;
  if (stopped_unread(server, primary)) {
    Unread& unread = unread_[server.id];
    ++unread.times;
    unread.error = receiver_error(*server.replica());
    unread.receives_since.reset();
    if (is_unread(server.id)) return care_for_unread(server, primary, now);
  }
  start(Duty::follow, server, order_to_follow(cluster_, server, primary), 20s, now);
}

void Caretaker::rejoin(const RejoinWanted& wish, Instant now) {
  const BackendId backend = wish.backend;
  const RequestId request = wish.id;
  answer(backend, false, "another rejoin was asked for");
  Server& server = cluster_.at(backend);
  const Server* primary = cluster_.primary_server();
  if (primary == nullptr || !primary->up())
    return outbox_.reply(request, false, "there is no primary to replicate from");
  if (primary->id == backend) return outbox_.reply(request, false, server.name() + " is the primary");
  if (!server.up()) {
    return outbox_.reply(
        request, false,
        server.name() + " is " + to_string(server.judgement.verdict) + ": " + server.judgement.why);
  }
  if (server.maintenance) return outbox_.reply(request, false, server.name() + " is in maintenance");
  requests_[backend] = {request, now + longest_rejoin, wish.discard};
  patience_.erase(backend);
  refused_.erase(backend);
  // With `discard` a copy of the data is wanted; without, that it is tried once more.
  if (!wish.discard) unread_.erase(backend);
  // A replica in its place whose replication is stopped or lacks semi-sync is set up anew; everything else is
  // care's usual work.
  const bool in_place = !server.writable() && cluster_.follows(server, *primary) && !occupied(backend);
  if (in_place && server.errant.empty() && !server.taking_back && !server.trouble.empty() &&
      !ordered_to_discard(server)) {
    return start(Duty::follow, server, order_to_follow(cluster_, server, *primary), 20s, now);
  }
  care(now);
}

void Caretaker::start(Duty duty, Server& server, Command command, Duration limit, Instant now) {
  const bool turns = duty == Duty::follow;
  if (turns) server.being_turned = dirty_ = true;
  const CommandId id = turns ? outbox_.command_once_stored(server.id, std::move(command))
                             : outbox_.command(server.id, std::move(command));
  errands_.push_back({duty, id, server.id, now, now + limit});
}

void Caretaker::on(const CommandFinished& event, Instant now) {
  const auto found =
      std::find_if(errands_.begin(), errands_.end(), [&](const Errand& e) { return e.id == event.id; });
  if (found == errands_.end()) return;
  const Errand errand = *found;
  errands_.erase(found);
  // A failed order to follow may have been half done: the mark stays, and it is given again. So it does over
  // any other errand.
  if (Server& turned = cluster_.at(errand.backend);
      event.result && errand.duty == Duty::follow && turned.being_turned) {
    turned.has_turned(now);
    dirty_ = true;
  }
  if (errand.duty == Duty::events) finished_events(event);
  if (!event.result) {
    if (event.result.error().kind == FailureKind::timeout) note_jam(errand);
    return failed(errand, event.result.error().text, now);
  }

  Server& server = cluster_.at(errand.backend);
  switch (errand.duty) {
    case Duty::resume:
      patience_.erase(errand.backend);
      server.receiver_stopped_by_us = false;
      return;
    case Duty::start_applier:
      patience_.erase(errand.backend);
      return restarted_applier(server);
    case Duty::make_read_only:
      patience_.erase(errand.backend);
      outbox_.record(about("fenced", cluster_, server,
                           server.name() + " accepted writes beside the primary and was made read-only"));
      return;
    case Duty::reinstate:
      patience_.erase(errand.backend);
      server.read_only_by_us = false;
      outbox_.record(
          about("reinstated", cluster_, server, server.name() + " was read-only and accepts writes again"));
      return;
    case Duty::end_ring:
      patience_.erase(errand.backend);
      server.trouble.clear();
      outbox_.record(
          about("trouble", cluster_, server,
                server.name() + ": replicated although it is the primary, and was made to end that"));
      return;
    case Duty::semi_sync:
      // Asked again only after a pause, should the server not keep it. A first pause is short, as the role
      // has two steps (SetSemiSyncSource::replica_there).
      if (!errand.outdated) {
        Patience& patience = patience_[errand.backend];
        const bool again = patience.duty == Duty::semi_sync && patience.not_before >= now - longest_pause;
        if (!again) patience.pause = {};
        patience.last_error.clear();
        hold_off(errand, now);
      }
      outbox_.record(about(
          "semi_sync", cluster_, server,
          server.name() + (server.report().semi_sync.source_enabled ? " is now the semi-sync source"
                                                                    : " is no semi-sync source any more")));
      return;
    case Duty::prompt:
      patience_.erase(errand.backend);
      standstill_.reset();
      outbox_.record(about(
          "semi_sync", cluster_, server,
          server.name() + ": commits waited for an acknowledgement that had been lost, of a replica that "
                          "has them; it was prompted"));
      return;
    case Duty::follow:
      return finished_follow(errand, now);
    case Duty::events:
      patience_.erase(errand.backend);
      return;
    case Duty::take_back:  // has an answer of its own
      return;
  }
}

void Caretaker::finished_follow(const Errand& errand, Instant now) {
  Server& server = cluster_.at(errand.backend);
  const Server* primary = cluster_.primary_server();
  const ReplicaStatus* replica = server.replica();
  if (primary == nullptr || replica == nullptr)
    return failed(errand, "no replication after the command", now);
  if (replica->io != ReplicaStatus::Io::yes) {
    const std::string why = replica->io_errno != 0 ? receiver_error(*replica) : "not connected yet";
    return failed(errand, "does not receive from " + primary->name() + ": " + why, now);
  }
  patience_.erase(errand.backend);
  server.fenced = server.heir = server.receiver_stopped_by_us = false;
  server.trouble.clear();
  if (server.quarantined) dirty_ = true;
  server.quarantined = false;
  HistoryRecord record =
      about("rejoin", cluster_, server, server.name() + " replicates from " + primary->name());
  record.steps = {{"follow", now - errand.began, ""}};
  record.from = server.name();
  record.to = primary->name();
  // Now it is certain: what neither of them has is gone.
  if (server.promise) {
    const GtidSet gone = server.promise->at_stake.minus(primary->report().executed);
    if (!gone.empty()) record.lost.push_back(gone.to_string());
    record.message += gone.empty() ? "; nothing that it was known to have is lost"
                                   : "; lost: " + transactions(gone.count()) +
                                         " that may have been acknowledged: " + gone.to_string();
    server.promise.reset();
    dirty_ = true;
  }
  outbox_.record(std::move(record));
  answer(server.id, true, server.name() + " replicates from " + primary->name());
}

Caretaker::Patience& Caretaker::hold_off(const Errand& errand, Instant now) {
  Patience& patience = patience_[errand.backend];
  patience.duty = errand.duty;
  patience.pause = std::clamp(patience.pause * 2, first_pause, longest_pause);
  patience.not_before = now + patience.pause;
  return patience;
}

void Caretaker::failed(const Errand& errand, const std::string& why, Instant now) {
  Server& server = cluster_.at(errand.backend);
  Patience& patience = hold_off(errand, now);
  server.trouble = why;
  answer(server.id, false, server.name() + ": " + why);
  if (patience.last_error == why) return;  // the same words are not repeated in the history
  patience.last_error = why;
  outbox_.record(about("trouble", cluster_, server, server.name() + ": " + why));
}

void Caretaker::on_time(Instant now) {
  for (std::size_t i = 0; i < errands_.size();) {
    if (now < errands_[i].deadline) {
      ++i;
      continue;
    }
    const Errand late = errands_[i];
    errands_.erase(errands_.begin() + static_cast<std::ptrdiff_t>(i));
    end(late);
    note_jam(late);
    failed(late, "no answer within " + std::to_string(to_ms(late.deadline - late.began)) + " ms", now);
  }
  for (auto request = requests_.begin(); request != requests_.end();) {
    const BackendId backend = request->first;
    const bool late = now >= request->second.deadline;
    ++request;
    if (!late) continue;
    const Server& server = cluster_.at(backend);
    const std::string& why = server.up() ? server.trouble : server.judgement.why;
    answer(backend, false, server.name() + " does not follow yet" + (why.empty() ? "" : ": " + why));
  }
}

void Caretaker::forgive(Duration stall) {
  for (auto& errand : errands_) errand.deadline += stall;
}

void Caretaker::reconsider() {
  patience_.clear();
  refused_.clear();
  unread_.clear();
  next_semi_sync_.clear();
  restarts_.clear();
  for (auto& errand : errands_) errand.outdated = true;
}

void Caretaker::drop_all() {
  for (const auto& errand : errands_) end(errand);
  errands_.clear();
  patience_.clear();
  refused_.clear();
  unread_.clear();
  while (!requests_.empty()) answer(requests_.begin()->first, false, "a change of primary began");
}

void Caretaker::answer(BackendId backend, bool ok, const std::string& text) {
  const auto found = requests_.find(backend);
  if (found == requests_.end()) return;
  outbox_.reply(found->second.id, ok, text);
  requests_.erase(found);
}

void Caretaker::end(const Errand& errand) {
  if (errand.duty == Duty::take_back) {
    outbox_.abort_take_back(errand.backend);
  } else {
    outbox_.abort_commands(errand.backend);
  }
}

bool Caretaker::occupied(BackendId backend) const {
  return std::any_of(errands_.begin(), errands_.end(),
                     [&](const Errand& e) { return e.backend == backend && e.duty != Duty::take_back; });
}

bool Caretaker::being_taken_back(BackendId backend) const {
  return std::any_of(errands_.begin(), errands_.end(),
                     [&](const Errand& e) { return e.backend == backend && e.duty == Duty::take_back; });
}

Instant Caretaker::next_deadline() const {
  Instant next = Instant::max();
  for (const auto& errand : errands_) next = std::min(next, errand.deadline);
  return next;
}

}  // namespace pointsman::core
