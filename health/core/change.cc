#include "health/core/change.h"

#include <algorithm>
#include <array>
#include <utility>

namespace pointsman::core {

using namespace std::chrono_literals;
using Kind = Change::Kind;
using Step = Change::Step;

const char* to_string(Change::Kind kind) {
  return kind == Kind::failover ? "failover" : "switchover";
}

const char* to_string(Change::Step step) {
  switch (step) {
    case Step::close_route:
      return "close_route";
    case Step::fence:
      return "fence";
    case Step::choose:
      return "choose";
    case Step::read_only:
      return "read_only";
    case Step::catch_up:
      return "catch_up";
    case Step::promote:
      return "promote";
    case Step::route:
      return "route";
    case Step::repoint:
      return "repoint";
    case Step::undo_promotion:
      return "undo_promotion";
    case Step::undo_read_only:
      return "undo_read_only";
    case Step::undo_route:
      return "undo_route";
    case Step::done:
      return "done";
    case Step::failed:
      return "failed";
  }
  return "?";
}

// What happens when: each step, what it does, how long it may take, and where it leads. The whole of a change
// is read here.
const Change::Row& Change::row(Kind kind, Step step) {
  static constexpr std::array rows = {
      // clang-format off
      Row{Kind::failover,   Step::fence,          &Change::enter_fence,          20s, Step::choose,         Step::failed,         "close the route and put the old primary out of service"},
      Row{Kind::failover,   Step::choose,         &Change::enter_choose,          5s, Step::catch_up,       Step::failed,         "find the replica that has received most"},
      Row{Kind::failover,   Step::catch_up,       &Change::enter_catch_up,        0s, Step::promote,        Step::failed,         "apply all that was received"},
      Row{Kind::failover,   Step::promote,        &Change::enter_promote,        10s, Step::route,          Step::failed,         "make the replica the primary"},
      Row{Kind::failover,   Step::route,          &Change::enter_route,           0s, Step::repoint,        Step::repoint,        "send the clients there"},
      Row{Kind::failover,   Step::repoint,        &Change::enter_repoint,        15s, Step::done,           Step::done,           "let the other replicas follow"},

      Row{Kind::switchover, Step::close_route,    &Change::enter_close_route,     1s, Step::read_only,      Step::undo_route,     "hold the clients"},
      Row{Kind::switchover, Step::read_only,      &Change::enter_read_only,       4s, Step::catch_up,       Step::undo_read_only, "let running commits finish, accept no new ones"},
      Row{Kind::switchover, Step::catch_up,       &Change::enter_catch_up,        5s, Step::promote,        Step::undo_read_only, "apply the last transaction on the successor"},
      Row{Kind::switchover, Step::promote,        &Change::enter_promote,        10s, Step::route,          Step::undo_promotion, "make the successor the primary"},
      Row{Kind::switchover, Step::route,          &Change::enter_route,           0s, Step::repoint,        Step::repoint,        "send the clients there"},
      Row{Kind::switchover, Step::repoint,        &Change::enter_repoint,        15s, Step::done,           Step::done,           "let the old primary and the other replicas follow"},
      Row{Kind::switchover, Step::undo_promotion, &Change::enter_undo_promotion,  2s, Step::undo_read_only, Step::undo_read_only, "make sure that the successor accepts no writes"},
      Row{Kind::switchover, Step::undo_read_only, &Change::enter_undo_read_only,  5s, Step::undo_route,     Step::failed,         "let the old primary accept writes again"},
      Row{Kind::switchover, Step::undo_route,     &Change::enter_undo_route,      0s, Step::failed,         Step::failed,         "send the clients to the old primary again"},
      // clang-format on
  };
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.kind == kind && r.step == step; });
  // Every step that enter() is ever called with has its row; a test walks the whole table.
  return found != rows.end() ? *found : rows.front();
}

std::vector<Reply::PlannedStep> Change::plan(Kind kind, const std::string& from, const std::string& to) {
  std::vector<Reply::PlannedStep> steps;
  Step step = kind == Kind::failover ? Step::fence : Step::close_route;
  while (step != Step::done) {
    const Row& here = row(kind, step);
    const bool on_old = step == Step::read_only || step == Step::fence;
    const bool on_new = step == Step::catch_up || step == Step::promote || step == Step::route;
    steps.push_back({to_string(step), on_old ? from : on_new ? to : "", here.says});
    step = here.next;
  }
  return steps;
}

Change::Change(Cluster& cluster, Outbox& outbox, const PrimaryLedger& ledger, DurableState& durable,
               Order order, Instant now)
    : cluster_(cluster),
      outbox_(outbox),
      ledger_(ledger),
      durable_(durable),
      order_(std::move(order)),
      began_(now) {
  cluster_.epoch = Epoch{cluster_.epoch.value + 1};
  durable_.epoch = cluster_.epoch;
  if (order_.from) {
    verdict_ = to_string(cluster_.at(*order_.from).judgement.verdict);
    guarded_ = cluster_.guarded(cluster_.at(*order_.from));
    reign_started_ = cluster_.at(*order_.from).evidence.run_started();
  }
  // Of the former primary as it was before we touched it, also when an earlier change came to nothing.
  const bool had_scheduler = cluster_.events_due && cluster_.events_due->scheduler;
  const bool has_scheduler = order_.from && cluster_.at(*order_.from).report().event_scheduler;
  cluster_.events_due = EventsDue{had_scheduler || has_scheduler};
  if (!order_.preparation.empty()) troubles_.push_back(order_.preparation);
  if (order_.kind == Kind::failover) times_.push_back({"detect", now - order_.evidence_at, ""});
  if (order_.kind == Kind::switchover) candidate_ = order_.to;
  // The epoch and the mark become durable while the first steps run; the promotion waits for them. The mark
  // names the one that will be promoted as far as can be told now; should the choice be another, it is stored
  // again.
  if (!candidate_) candidate_ = expected_candidate();
  store(old_primary_of_record(), true);
  enter(order_.kind == Kind::failover ? Step::fence : Step::close_route, now);
}

std::string Change::name_of_from() const {
  return order_.from ? cluster_.at(*order_.from).name() : "";
}

// Ordered by hand while nobody serves, a change has no `from`; who is on record must not be forgotten until
// it succeeds.
std::string Change::old_primary_of_record() const {
  return order_.from ? name_of_from() : durable_.primary;
}

std::optional<BackendId> Change::expected_candidate() const {
  ChoiceRules rules;
  rules.from = order_.from;
  rules.only = order_.to;
  rules.forced = order_.forced;
  return pointsman::core::choose(cluster_, rules).candidate;
}

void Change::store(const std::string& primary, bool marked) {
  const std::string to = candidate_ ? cluster_.at(*candidate_).name() : "";
  durable_.primary = primary;
  remember_servers(durable_, cluster_);
  durable_.change =
      marked ? std::optional(ChangeMark{to_string(order_.kind), name_of_from(), to}) : std::nullopt;
  store_version_ = outbox_.store(durable_);
  stored_ = false;
}

void Change::command(BackendId backend, Command what) {
  pending_[outbox_.command(backend, std::move(what))] = backend;
}

void Change::make_read_only(BackendId backend, MakeReadOnly order, bool awaited) {
  cluster_.at(backend).read_only_by_us = true;
  const CommandId id = outbox_.command(backend, order);
  if (awaited) pending_[id] = backend;
}

void Change::drop_commands_to(BackendId backend) {
  if (std::erase_if(pending_, [&](const auto& command) { return command.second == backend; }) > 0) {
    outbox_.abort_commands(backend);
  }
}

bool Change::lost(std::optional<BackendId> backend) const {
  return backend && calls_for_failover(cluster_.at(*backend).judgement.verdict);
}

void Change::enter(Step step, Instant now) {
  step_ = step;
  step_began_ = now;
  wake_at_ = Instant::max();
  pending_.clear();
  if (finished()) {
    deadline_ = Instant::max();
    return;
  }
  const Row& here = row(order_.kind, step);
  deadline_ = now + (here.limit > 0s ? here.limit : Duration(cluster_.config.failover.catchup_timeout));
  HistoryRecord journal;
  journal.kind = "step";
  journal.epoch = cluster_.epoch;
  journal.message = std::string(to_string(order_.kind)) + " " + to_string(step) + ": " + here.says;
  outbox_.record(std::move(journal));
  (this->*here.enter)(now);
}

void Change::leave(Instant now, const std::string& note) {
  times_.push_back({to_string(step_), now - step_began_, note});
  HistoryRecord journal;
  journal.kind = "step";
  journal.epoch = cluster_.epoch;
  journal.message = std::string(to_string(order_.kind)) + " " + to_string(step_) + " ended" +
                    (note.empty() ? "" : ": " + note);
  journal.steps = {times_.back()};
  outbox_.record(std::move(journal));
}

void Change::advance(Instant now, const std::string& note) {
  leave(now, note);
  enter(row(order_.kind, step_).next, now);
}

void Change::fail(const std::string& why, Instant now) {
  for (const auto& [id, backend] : pending_) outbox_.abort_commands(backend);
  if (failure_.empty()) failure_ = std::string(to_string(step_)) + ": " + why;
  leave(now, why);
  // It may accept writes now, and nobody can tell or hinder it: to let the old primary write again would make
  // two. Who is primary is found out anew.
  const bool perhaps_promoted =
      step_ == Step::undo_promotion && promote_sent_ && !cluster_.at(*candidate_).is(Verdict::crashed);
  const Step next = perhaps_promoted ? Step::failed : row(order_.kind, step_).on_failure;
  if (next == Step::failed) {
    give_up(why, now);
  } else {
    enter(next, now);
  }
}

// A server did not do what it was told, or not in time.
void Change::fail_by_servers(const std::string& why, Instant now) {
  // The next attempt begins with another one, if that has as much.
  if (step_ == Step::catch_up) ++cluster_.at(*candidate_).failed_catch_ups;
  fail(why, now);
}

void Change::give_up(const std::string&, Instant now) {
  // The caretaker sees to it that replicas go on receiving, and that the old primary may write again.
  if (!promote_sent_) store(old_primary_of_record(), false);
  enter(Step::failed, now);
}

// --- events
// ---------------------------------------------------------------------------------------------------------

void Change::on(const CommandFinished& event, Instant now) {
  const auto found = pending_.find(event.id);
  if (found == pending_.end() || finished()) return;
  pending_.erase(found);
  const std::string who = cluster_.at(event.backend).name();
  const std::string error = event.result ? "" : who + ": " + event.result.error().text;

  switch (step_) {
    case Step::fence:
      if (error.empty() && event.backend == order_.from) {
        fenced_at_ = event.result->executed;
        fenced_by_sql_ = true;
      }
      if (!error.empty()) troubles_.push_back(error);
      if (!error.empty() && !order_.forced) return fail(error, now);
      return settle_fence(now);
    case Step::choose:
      if (awaits_last_) {
        if (error.empty() || !may_still_come(now)) return stop_receivers(now);
        return enter_choose(now);
      }
      if (error.empty()) stopped_.insert(event.backend);
      if (!error.empty()) troubles_.push_back(error);
      if (pending_.empty()) settle_choice(now);
      return;
    case Step::read_only:
      if (!error.empty()) return fail(error, now);
      target_ = event.result->executed;
      return advance(now);
    case Step::repoint:
      if (error.empty()) cluster_.at(event.backend).has_turned(now);
      if (!error.empty()) troubles_.push_back(error);
      if (pending_.empty()) finish_repoint(now);
      return;
    default:
      if (!error.empty()) return fail_by_servers(error, now);
      if (pending_.empty()) advance(now);
  }
}

void Change::on(const RouteApplied& event, Instant now) {
  if (event.token != route_token_) return;
  route_applied_ = true;
  // The first server is touched only when nothing can hinder the promotion.
  if (step_ == Step::close_route && stored_) return advance(now);
  if (step_ == Step::promote) promote_when_safe(now);
}

void Change::on(const StateStored& event, Instant now) {
  if (event.version < store_version_ || finished()) return;  // a newer version holds all of an older one
  if (event.result) {
    stored_ = true;
    if (step_ == Step::close_route && route_applied_) return advance(now);
    if (step_ == Step::promote) promote_when_safe(now);
    return;
  }
  const std::string why =
      "the state could not be stored (" + event.result.error() + "): no promotion without a durable epoch";
  const bool before_promotion = !promote_sent_ && !serving() && !undoing();
  if (before_promotion) return fail(why, now);
  troubles_.push_back(why);
}

void Change::on(const FenceCommandFinished& event, Instant now) {
  if (step_ != Step::fence || !fence_command_pending_) return;
  fence_command_pending_ = false;
  if (!event.result && !order_.forced) return fail("fence.command failed: " + event.result.error(), now);
  if (!event.result) troubles_.push_back("fence.command failed: " + event.result.error());
  fence_command_done_ = event.result.has_value();
  settle_fence(now);
}

void Change::on_agent(BackendId backend, Instant now) {
  if (step_ == Step::fence && order_.from == backend) settle_fence(now);
}

void Change::on_time(Instant now) {
  if (now >= wake_at_) {
    wake_at_ = Instant::max();
    if (step_ == Step::fence) settle_fence(now);
  }
  if (finished() || now < deadline_) return;
  switch (step_) {
    case Step::repoint:
      for (const auto& [id, backend] : pending_) {
        troubles_.push_back(cluster_.at(backend).name() + ": does not follow yet");
        outbox_.abort_commands(backend);
      }
      return finish_repoint(now);
    case Step::choose:
      for (const auto& [id, backend] : pending_) outbox_.abort_commands(backend);
      pending_.clear();
      return settle_choice(now);
    case Step::fence:
      if (order_.forced) {
        for (const auto& [id, backend] : pending_) outbox_.abort_commands(backend);
        troubles_.emplace_back("the fence was not confirmed");
        return advance(now, "not confirmed");
      }
      return fail("not confirmed in time: " + fence_awaited(), now);
    default:
      return fail_by_servers(
          late_servers() + "took longer than " + std::to_string(to_ms(deadline_ - step_began_)) + " ms", now);
  }
}

// "db2 " or "db2, db3 ", those that this step still waits for.
std::string Change::late_servers() const {
  std::string names;
  for (const auto& [id, backend] : pending_)
    names += (names.empty() ? "" : ", ") + cluster_.at(backend).name();
  return names.empty() ? "" : names + " ";
}

void Change::on_verdict(BackendId backend, Instant now) {
  if (finished() || !lost(backend)) return;
  const Server& server = cluster_.at(backend);
  const std::string why =
      server.name() + " is " + to_string(server.judgement.verdict) + ": " + server.judgement.why;
  const bool is_candidate = candidate_ == backend;
  const bool is_old = order_.from == backend;
  switch (step_) {
    case Step::fence:
      if (is_old) settle_fence(now);
      return;
    case Step::choose:  // the others' answers are enough
      drop_commands_to(backend);
      if (pending_.empty()) return awaits_last_ ? stop_receivers(now) : settle_choice(now);
      return;
    case Step::promote:
      if (is_candidate) fail(why, now);
      return;
    case Step::catch_up:
      // A planned change can wait for the old primary no more once it is gone; what it had not sent will not
      // come.
      if (is_candidate || (is_old && order_.kind == Kind::switchover && !received_all())) fail(why, now);
      return;
    case Step::close_route:
    case Step::read_only:
      if (is_old || is_candidate) fail(why, now);
      return;
    case Step::undo_promotion:
    case Step::undo_read_only:
      if ((step_ == Step::undo_promotion) ? is_candidate : is_old) fail(why, now);
      return;
    case Step::repoint:
      // The next failover must not wait for replicas to follow a dead server.
      if (is_candidate) {
        for (const auto& [id, other] : pending_) outbox_.abort_commands(other);
        pending_.clear();
        troubles_.push_back(why);
        finish_repoint(now);
      } else {
        drop_commands_to(backend);
        if (pending_.empty()) finish_repoint(now);
      }
      return;
    default:
      return;
  }
}

bool Change::received_all() const {
  return holdings(cluster_.at(*candidate_)).contains(target_);
}

HistoryRecord Change::beginning() const {
  HistoryRecord record;
  record.kind = std::string(to_string(order_.kind)) + "_started";
  record.epoch = cluster_.epoch;
  record.from = name_of_from();
  record.to = candidate_ ? cluster_.at(*candidate_).name() : "";
  record.verdict = verdict_;
  record.message = std::string(to_string(order_.kind)) + (record.from.empty() ? "" : " " + record.from) +
                   (record.to.empty() ? "" : " -> " + record.to) + " begins";
  if (lost(order_.from))
    record.message += "; " + record.from + " is " + verdict_ + ": " + cluster_.at(*order_.from).judgement.why;
  return record;
}

HistoryRecord Change::record(Instant now) const {
  HistoryRecord record;
  record.kind = to_string(order_.kind);
  record.epoch = cluster_.epoch;
  record.from = name_of_from();
  record.to = candidate_ ? cluster_.at(*candidate_).name() : "";
  record.verdict = verdict_;
  record.steps = times_;
  record.total = total_ ? *total_ : now - order_.evidence_at;
  if (promise_) {
    record.safe = promise_->safe.to_string();
    if (!promise_->at_stake.empty()) record.lost.push_back(promise_->at_stake.to_string());
  }
  record.failed = !succeeded() && !serving();
  std::string text = record.failed ? "failed: " + failure_
                                   : (record.from.empty() ? "" : record.from + " ") + "-> " + record.to;
  for (const auto& trouble : troubles_) text += "; " + trouble;
  if (promise_ && !record.failed) {
    const std::uint64_t count = promise_->at_stake.count();
    text += promise_->kept ? "; nothing acknowledged is lost: " + promise_->why
            : count == 0   ? "; nothing is known to be lost, but " + promise_->why
                           : "; " + std::to_string(count) + " transactions may be lost: " + promise_->why;
  }
  record.message = std::string(to_string(order_.kind)) + " " + text;
  return record;
}

}  // namespace pointsman::core
