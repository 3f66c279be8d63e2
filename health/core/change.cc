#include "health/core/change.h"

#include <algorithm>
#include <array>

#include "health/core/agent_guard.h"

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
struct Change::Row {
  Kind kind;
  Step step;
  void (Change::*enter)(Instant);
  Duration limit;   // 0: failover.catchup_timeout
  Step next;        // when all that the step waits for has come
  Step on_failure;  // Step::failed: give up, what was stopped is resumed
  const char* says;
};

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
      Row{Kind::switchover, Step::read_only,      &Change::enter_read_only,       3s, Step::catch_up,       Step::undo_read_only, "let running commits finish, accept no new ones"},
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
    : cluster_(cluster), outbox_(outbox), ledger_(ledger), durable_(durable), order_(order), began_(now) {
  cluster_.epoch = Epoch{cluster_.epoch.value + 1};
  durable_.epoch = cluster_.epoch;
  if (order_.from) {
    verdict_ = to_string(cluster_.at(*order_.from).judgement.verdict);
    guarded_ = cluster_.guarded(cluster_.at(*order_.from));
  }
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
      if (error.empty()) cluster_.at(event.backend).being_turned = false;
      if (!error.empty()) troubles_.push_back(error);
      if (pending_.empty()) finish_repoint(now);
      return;
    default:
      if (!error.empty()) return fail(error, now);
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
      return fail("took longer than " + std::to_string(to_ms(deadline_ - step_began_)) + " ms", now);
  }
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

// --- steps
// ----------------------------------------------------------------------------------------------------------

void Change::enter_close_route(Instant) {
  route_applied_ = false;
  route_token_ = outbox_.route(cluster_.epoch, RouteMode::draining, order_.from, "switchover in progress");
}

void Change::enter_fence(Instant now) {
  route_applied_ = false;
  route_token_ = outbox_.route(cluster_.epoch, RouteMode::closed, std::nullopt, "failover in progress");
  const auto end_writes = MakeReadOnly{.timeout = 2000ms, .end_clients = true};
  for (const auto& server : cluster_.servers) {
    // Ordered by hand with the old primary (or another writable server) alive: it must stop first.
    // One that is to be replaced is asked again, whatever it said last: an order to accept writes may have
    // reached it since.
    const bool other_writer =
        server.id == order_.from || (server.writable() && server.id != order_.to && !order_.from);
    if (other_writer && (server.up() || server.is(Verdict::degraded)))
      make_read_only(server.id, end_writes, true);
  }
  Server* old = order_.from ? &cluster_.at(*order_.from) : nullptr;
  // A standing order: a server that was only frozen finds it in its socket when it thaws. Nobody waits for
  // its answer.
  const bool silent =
      old != nullptr && !old->up() && !old->is(Verdict::degraded) && !old->is(Verdict::crashed);
  if (silent) make_read_only(old->id, end_writes, false);
  // By its agent it is made read-only in any case; should nothing come of this change, that is undone by us.
  if (old != nullptr && old->settings.has_agent() && !old->is(Verdict::crashed)) old->read_only_by_us = true;
  if (old != nullptr && old->is(Verdict::dead) && !cluster_.config.fence.command.empty()) {
    outbox_.add(RunFenceCommand{*order_.from});
    fence_command_pending_ = true;
  }
  settle_fence(now);
}

// Goes on as soon as it is certain that the old primary accepts no writes any more.
void Change::settle_fence(Instant now) {
  if (step_ != Step::fence || !pending_.empty() || fence_command_pending_) return;
  const auto proof = fence_proof(now);
  if (!proof) {
    if (!guarded_) return;
    // The lease counts when nothing is heard to the contrary.
    const Server& old = cluster_.at(*order_.from);
    Instant next = old.lease.over_at().value_or(now);
    if (const auto heard = old.evidence.agent.last_heard())
      next = std::max(next, *heard + cluster_.config.heartbeat.warntime);
    if (now < next) wake_at_ = next;
    return;
  }
  if (const Server* old = order_.from ? &cluster_.at(*order_.from) : nullptr;
      old != nullptr && old->evidence.agent.word && old->evidence.agent.word->fenced >= cluster_.epoch) {
    fenced_at_ = fenced_at_.united(gtids_of(old->evidence.agent.word->gtids));
  }
  advance(now, *proof);
}

// Why the old primary is known to accept no writes, in words (empty: goes without saying); nullopt: it is not
// known.
std::optional<std::string> Change::fence_proof(Instant now) const {
  if (!order_.from || fenced_by_sql_) return "";
  const Server& old = cluster_.at(*order_.from);
  const AgentEvidence& agent = old.evidence.agent;
  if (old.is(Verdict::crashed)) return verdict_ == to_string(Verdict::crashed) ? "" : old.judgement.why;
  const bool gone = agent.word && agent.word_at >= began_ && !says_writable(*agent.word) &&
                    agent.word->mysqld != MysqldState::answers && agent.word->mysqld != MysqldState::silent;
  if (gone) return "its agent says that mysqld has ended";
  if (agent.word && agent.word->fenced >= cluster_.epoch) return "its agent made it read-only";
  if (fence_command_done_) return "fence.command succeeded";

  if (old.up() && !old.writable()) return "it is read-only";
  if (order_.forced && !guarded_) return "not confirmed, by the operator's word";
  const bool leases = cluster_.config.heartbeat.lease > 0s && old.settings.has_agent();
  const bool dead = old.is(Verdict::dead);
  if (!leases && dead) {
    return std::string(old.settings.has_agent() ? "no lease" : "no agent") +
           " and no fence.command: silence for deadtime is all that is known";
  }
  // An agent that is heard and says that the server accepts writes knows better.
  const bool denied = agent.host_alive(cluster_.config.heartbeat.warntime, now) && says_writable(*agent.word);
  if (guarded_ && old.lease.over(now) && !denied) return "its lease is over";
  return std::nullopt;
}

std::string Change::fence_awaited() const {
  const Server& old = cluster_.at(*order_.from);
  std::string text = "neither did the agent of " + old.name() + " say that it made it read-only";
  if (old.evidence.agent.word && old.evidence.agent.word->fence_failed) text += " (it tried, and failed)";
  return text + (guarded_ ? ", nor is its lease over" : ", nor is a lease known to end its writes");
}

// The fenced server's last transaction may still be on its way to a replica that hears it.
bool Change::may_still_come(Instant now) const {
  if (!candidate_ || fenced_at_.empty() || now >= await_until_) return false;
  const Server& candidate = cluster_.at(*candidate_);
  return !holdings(candidate).contains(fenced_at_) &&
         cluster_.follows(candidate, cluster_.at(*order_.from)) &&
         may_still_receive(candidate, cluster_.judge_times());
}

void Change::enter_choose(Instant now) {
  if (!awaits_last_) await_until_ = now + cluster_.config.failover.catchup_timeout;
  awaits_last_ = order_.kind == Kind::failover && may_still_come(now);
  if (!awaits_last_) return stop_receivers(now);
  // What is applied has been received; no event tells of receiving alone.
  deadline_ = await_until_ + 5s;
  command(*candidate_, WaitApplied{fenced_at_, 500ms});
}

void Change::stop_receivers(Instant now) {
  awaits_last_ = false;
  deadline_ = now + row(order_.kind, Step::choose).limit;
  StopReceiving stop;
  // After silence for deadtime nothing is on its way any more.
  if (verdict_ == to_string(Verdict::dead) || verdict_ == to_string(Verdict::cut_off)) stop.drain = {};
  for (const auto& server : cluster_.servers) {
    if (server.id == order_.from || server.maintenance || !server.up() || server.replica() == nullptr)
      continue;
    if (order_.to && *order_.to != server.id) continue;
    cluster_.at(server.id).receiver_stopped_by_us = true;
    command(server.id, stop);
  }
  if (pending_.empty()) settle_choice(now);
}

void Change::settle_choice(Instant now) {
  ChoiceRules rules;
  rules.from = order_.from;
  rules.only = order_.to;
  rules.forced = order_.forced;
  rules.stopped = &stopped_;
  const Choice choice = pointsman::core::choose(cluster_, rules);
  if (!choice.candidate) {
    std::string why = "nobody can take over";
    for (const auto& refusal : choice.refused)
      why += "; " + cluster_.at(refusal.backend).name() + ": " + refusal.why;
    return fail(why, now);
  }
  const bool as_expected = candidate_ == choice.candidate;
  candidate_ = choice.candidate;
  const Server& candidate = cluster_.at(*candidate_);
  Shortfall shortfall = pointsman::core::shortfall(cluster_, candidate, order_.from, ledger_, true);
  // Under semi-sync what only the old primary has was never acknowledged.
  if (!ledger_.semi_sync_active())
    shortfall.missing = shortfall.missing.united(fenced_at_.minus(holdings(candidate)));
  const std::string forbidden = why_forbidden(shortfall, cluster_, candidate);
  if (!forbidden.empty() && !order_.forced) return fail(forbidden, now);
  if (!as_expected) store(old_primary_of_record(), true);
  target_ = holdings(candidate);
  // Under semi-sync what only the old primary has was never acknowledged; the rest may have been.
  const GtidSet promised = ledger_.semi_sync_active() ? fenced_at_ : ledger_.known().united(fenced_at_);
  const GtidSet not_there = promised.united(shortfall.missing).minus(target_);
  if (!not_there.empty()) lost_.push_back(not_there.to_string());
  std::string note = candidate.name();
  for (const auto& refusal : choice.refused)
    note += ", not " + cluster_.at(refusal.backend).name() + " (" + refusal.why + ")";
  advance(now, note);
}

void Change::enter_read_only(Instant) {
  make_read_only(*order_.from, {.timeout = 2000ms, .end_clients = false}, true);
}

void Change::enter_catch_up(Instant now) {
  const Server& candidate = cluster_.at(*candidate_);
  if (candidate.report().executed.contains(target_)) return advance(now, "nothing to apply");
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - now);
  command(*candidate_, WaitApplied{target_, limit});
}

void Change::enter_promote(Instant now) {
  promote_when_safe(now);
}

// Not before the epoch is durable and no session can reach the old primary any more.
void Change::promote_when_safe(Instant now) {
  const bool sessions_ended = route_applied_ || order_.kind == Kind::switchover;
  if (promote_sent_ || !stored_ || !sessions_ended) return;
  if (order_.kind == Kind::switchover && !cluster_.at(*candidate_).up())
    return fail("the successor is not up", now);
  const Server* old = order_.from ? &cluster_.at(*order_.from) : nullptr;
  if (order_.kind == Kind::failover && !order_.forced && old != nullptr && old->up() && old->writable())
    return fail(old->name() + " is back and accepts writes", now);
  promote_sent_ = true;
  cluster_.at(*candidate_).heir = cluster_.at(*candidate_).receiver_stopped_by_us = true;
  command(*candidate_, Promote{cluster_.config.replication.semi_sync});
}

void Change::enter_route(Instant now) {
  if (order_.from) cluster_.at(*order_.from).fenced = true;
  for (auto& server : cluster_.servers) server.heir = false;
  Server& candidate = cluster_.at(*candidate_);
  candidate.fenced = candidate.quarantined = false;
  candidate.read_only_by_us = candidate.receiver_stopped_by_us = false;
  candidate.errant = {};
  candidate.being_turned = false;
  cluster_.primary = candidate_;
  outbox_.route(cluster_.epoch, cluster_.paused ? RouteMode::holding : RouteMode::open, candidate_,
                cluster_.paused ? "paused by the operator" : "");
  store(candidate.name(), false);
  total_ = now - order_.evidence_at;
  advance(now);
}

void Change::enter_repoint(Instant now) {
  const Server& primary = cluster_.at(*candidate_);
  const Follow follow{primary.settings.address, cluster_.config.replication.semi_sync};
  for (auto& server : cluster_.servers) {
    if (server.id == primary.id || server.maintenance || server.quarantined) continue;
    const bool planned_old = order_.kind == Kind::switchover && server.id == order_.from;
    // The new primary's report is from after its promotion: what a replica has beyond it was never on any
    // line to it.
    const bool replica_in_step = server.replica() != nullptr && server.id != order_.from &&
                                 primary.report().executed.contains(server.report().executed);
    if (!server.up() || !(planned_old || replica_in_step)) continue;
    server.being_turned = true;
    pending_[outbox_.command_once_stored(server.id, follow)] = server.id;
  }
  if (!pending_.empty()) store(primary.name(), false);
  if (pending_.empty()) finish_repoint(now);
}

void Change::finish_repoint(Instant now) {
  if (order_.from && order_.kind == Kind::switchover) cluster_.at(*order_.from).fenced = false;
  advance(now);
}

void Change::enter_undo_promotion(Instant now) {
  if (lost(candidate_)) return fail(cluster_.at(*candidate_).name() + " is lost", now);
  make_read_only(*candidate_, {.timeout = 1000ms, .end_clients = true}, true);
}

void Change::enter_undo_read_only(Instant now) {
  // Nothing can be given back to a server that is gone: a failover is next.
  if (lost(order_.from)) return fail(name_of_from() + " is lost", now);
  command(*order_.from, MakeWritable{cluster_.config.replication.semi_sync});
}

void Change::enter_undo_route(Instant now) {
  const Server& old = cluster_.at(*order_.from);
  // Should it have died or restarted meanwhile, the controller closes the route and sees what can be done.
  if (old.up() && old.writable()) {
    outbox_.route(cluster_.epoch, cluster_.paused ? RouteMode::holding : RouteMode::open, old.id,
                  cluster_.paused ? "paused by the operator" : "");
  }
  // The old primary serves and nobody was ever sent to the successor: nothing is uncertain any more.
  promote_sent_ = false;
  if (old.writable()) cluster_.at(old.id).read_only_by_us = false;
  store(old.name(), false);
  leave(now);
  enter(Step::failed, now);
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
  record.lost = lost_;
  record.failed = !succeeded() && !serving();
  std::string text = record.failed ? "failed: " + failure_
                                   : (record.from.empty() ? "" : record.from + " ") + "-> " + record.to;
  for (const auto& trouble : troubles_) text += "; " + trouble;
  record.message = std::string(to_string(order_.kind)) + " " + text;
  return record;
}

}  // namespace pointsman::core
