#include "health/core/preparation.h"

#include <algorithm>

namespace pointsman::core {

using namespace std::chrono_literals;
using Kind = Occupant::Kind;

namespace {

constexpr Duration answer_time = 10s;

std::string seconds_text(std::chrono::seconds age) {
  return std::to_string(age.count()) + " s";
}

std::string elapsed(Duration time) {
  return std::to_string(to_ms(time)) + " ms";
}

const ReplicaStatus* replica_of(const ServerReport& report) {
  return report.replica ? &*report.replica : nullptr;
}

}  // namespace

std::string describe(const Occupant& occupant) {
  std::string text = "thread " + std::to_string(occupant.thread) + " (" + occupant.account + "), ";
  switch (occupant.kind) {
    case Kind::transaction:
      text += "a transaction open for " + seconds_text(occupant.age);
      break;
    case Kind::statement:
      text += "a statement that runs for " + seconds_text(occupant.age);
      break;
    case Kind::table_lock:
      text += "LOCK TABLES";
      break;
    case Kind::backup:
      text += "the lock of a backup";
      break;
  }
  return text + ": " + (occupant.statement.empty() ? "idle" : occupant.statement);
}

Preparation::Preparation(const Cluster& cluster, Outbox& outbox, const Order& order, Instant now)
    : cluster_(cluster), outbox_(outbox), order_(order), began_(now), give_up_at_(now + order.max_wait) {
  look(now);
}

void Preparation::look(Instant now) {
  wake_at_ = Instant::max();
  deadline_ = now + answer_time;
  reports_.clear();
  rehearsing_ = false;
  for (const BackendId backend : {order_.from, order_.to})
    pending_[outbox_.command(backend, Survey{})] = backend;
}

void Preparation::on(const CommandFinished& event, Instant now) {
  if (state_ != State::working || pending_.erase(event.id) == 0) return;
  const std::string& name = cluster_.at(event.backend).name();
  const bool late = !event.result && event.result.error().kind == FailureKind::timeout;
  if (rehearsing_ && late) {
    in_the_way_ = {name + " does not apply within " + elapsed(max_rehearsal) + " what " +
                   cluster_.at(order_.from).name() + " has"};
    all_endable_ = false;
    return obstructed(now);
  }
  if (!event.result) return refuse(name + ": " + event.result.error().text);
  if (rehearsing_) return settle(State::ready);
  if (event.result->survey) reports_[event.backend] = *event.result;
  if (!pending_.empty()) return;
  // An answer to the order to end transactions: how things are now is asked again.
  if (reports_.size() < 2) return look(now);
  assess(now);
}

void Preparation::assess(Instant now) {
  if (std::string why = forbidden(); !why.empty()) return refuse(std::move(why));
  const Server& from = cluster_.at(order_.from);
  const Server& to = cluster_.at(order_.to);
  in_the_way_.clear();
  endable_.clear();
  add_occupants(from, true);
  all_endable_ = !in_the_way_.empty() && endable_.size() == in_the_way_.size();
  const std::size_t so_far = in_the_way_.size();
  add_occupants(to, false);
  const ServerReport& target = reports_[to.id];
  if (const auto* replica = replica_of(target);
      replica == nullptr || replica->io != ReplicaStatus::Io::yes || !replica->sql)
    in_the_way_.push_back(to.name() + " does not replicate from " + from.name() + " yet");
  if (const auto* replica = replica_of(target); replica != nullptr && replica->lag.value_or(0s) > max_lag)
    in_the_way_.push_back(to.name() + " is " + seconds_text(*replica->lag) + " behind");
  if (in_the_way_.size() > so_far) all_endable_ = false;
  if (!in_the_way_.empty()) return obstructed(now);
  // What the clients would have to wait for is tried before they have to.
  const GtidSet& has = reports_[from.id].executed;
  if (target.executed.contains(has)) return settle(State::ready);
  rehearsing_ = true;
  deadline_ = now + answer_time;
  pending_[outbox_.command(to.id, WaitApplied{has, max_rehearsal})] = to.id;
}

// On the primary whatever would hold up its becoming read-only, or would be cut off; on the replica what
// keeps it from applying.
void Preparation::add_occupants(const Server& server, bool is_primary) {
  for (const Occupant& occupant : reports_[server.id].survey->occupants) {
    const bool locks = occupant.kind == Kind::table_lock || occupant.kind == Kind::backup;
    if (!is_primary && !locks) continue;
    in_the_way_.push_back(server.name() + ": " + describe(occupant));
    if (is_primary && occupant.kind != Kind::backup) endable_.push_back(occupant.thread);
  }
}

// What no waiting helps against.
std::string Preparation::forbidden() const {
  const Server& from = cluster_.at(order_.from);
  const Server& to = cluster_.at(order_.to);
  const ServerReport& old = reports_.at(from.id);
  const ServerReport& target = reports_.at(to.id);
  if (target.survey->free_bytes && *target.survey->free_bytes < least_free_bytes) {
    return to.name() + " has only " + std::to_string(*target.survey->free_bytes >> 20) +
           " MiB free where its data are";
  }
  const bool events = old.event_scheduler && old.survey->enabled_events > 0;
  if (events && !target.event_scheduler && !target.survey->scheduler_settable) {
    return "scheduled events run on " + from.name() + ", and the event scheduler of " + to.name() +
           " is off and cannot be started by us: SET GLOBAL event_scheduler = ON there first";
  }
  return "";
}

void Preparation::obstructed(Instant now) {
  if (order_.dry_run) return settle(State::ready);
  if (waited_for_.empty()) waited_for_ = in_the_way_.front();
  const bool may_end = now >= give_up_at_ && order_.end_transactions && all_endable_;
  EndOccupants order;
  for (std::size_t i = 0; may_end && i < endable_.size(); ++i) {
    if (!ended_.insert(endable_[i]).second) continue;
    order.threads.push_back(endable_[i]);
    ended_names_.push_back(in_the_way_[i]);
  }
  if (!order.threads.empty()) {
    if (!ended_by_) ended_by_ = now + ending_time;
    deadline_ = now + answer_time;
    reports_.clear();
    pending_[outbox_.command(order_.from, std::move(order))] = order_.from;
    return;
  }
  const Instant last = may_end && ended_by_ ? *ended_by_ : give_up_at_;
  if (now >= last) return give_up(now);
  wake_at_ = std::min(now + pause, last);
  deadline_ = Instant::max();
}

void Preparation::give_up(Instant now) {
  std::string text = "waited " + elapsed(now - began_) + " for what is in the way: " + list();
  if (all_endable_ && !order_.end_transactions)
    text += " (--max-wait waits longer, --end-transactions ends them)";
  refuse(std::move(text));
}

void Preparation::refuse(std::string why) {
  if (state_ != State::working) return;
  drop();
  why_ = std::move(why);
  const std::size_t ended = ended_names_.size();
  if (ended > 0)
    why_ += "; but " + std::to_string(ended) + (ended == 1 ? " session was ended" : " sessions were ended");
  settle(State::refused);
}

void Preparation::settle(State state) {
  state_ = state;
  wake_at_ = deadline_ = Instant::max();
}

void Preparation::drop() {
  for (const auto& [id, backend] : pending_) outbox_.abort_commands(backend);
  pending_.clear();
}

void Preparation::on_time(Instant now) {
  if (state_ != State::working) return;
  if (now >= wake_at_) return look(now);
  if (now < deadline_) return;
  std::string silent;
  for (const auto& [id, backend] : pending_)
    silent += (silent.empty() ? "" : ", ") + cluster_.at(backend).name();
  refuse("no answer of " + silent + " within " + elapsed(answer_time));
}

void Preparation::forgive(Duration stall) {
  if (deadline_ < Instant::max()) deadline_ += stall;
}

std::string Preparation::list() const {
  constexpr std::size_t most = 5;
  std::string text;
  for (std::size_t i = 0; i < in_the_way_.size() && i < most; ++i)
    text += (text.empty() ? "" : "; ") + in_the_way_[i];
  if (in_the_way_.size() > most) text += "; and " + std::to_string(in_the_way_.size() - most) + " more";
  return text;
}

std::string Preparation::story(Instant now) const {
  std::string text;
  const auto add = [&](const std::string& clause) { text += (text.empty() ? "" : "; ") + clause; };
  if (!waited_for_.empty()) add("waited " + elapsed(now - began_) + " for " + waited_for_);
  for (const auto& name : ended_names_) add("ended: " + name);
  const auto old = reports_.find(order_.from);
  if (old != reports_.end() && old->second.event_scheduler && old->second.survey->enabled_events > 0 &&
      !old->second.survey->scheduler_settable) {
    add("the event scheduler of " + cluster_.at(order_.from).name() +
        " could not be stopped by us (it needs SUPER)");
  }
  return text;
}

}  // namespace pointsman::core
