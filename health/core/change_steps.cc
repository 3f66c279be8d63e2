// What each step of a change does; when it is entered and where it leads is in the table in change.cc.
#include <algorithm>

#include "health/core/change.h"
#include "health/core/frame_gtids.h"
#include "health/core/topology.h"

namespace pointsman::core {

using namespace std::chrono_literals;

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
  if (proof->bounds) ended_at_ = verdict_ == to_string(Verdict::crashed) ? order_.evidence_at : now;
  advance(now, proof->why);
}

// Why the old primary is known to accept no writes; nullopt: it is not known.
std::optional<Change::FenceProof> Change::fence_proof(Instant now) const {
  if (!order_.from || fenced_by_sql_) return FenceProof{};
  const Server& old = cluster_.at(*order_.from);
  const AgentEvidence& agent = old.evidence.agent;
  if (old.is(Verdict::crashed))
    return FenceProof{verdict_ == to_string(Verdict::crashed) ? "" : old.judgement.why};
  const bool gone = agent.word && agent.word_at >= began_ && !says_writable(*agent.word) &&
                    agent.word->mysqld != MysqldState::answers && agent.word->mysqld != MysqldState::silent;
  if (gone) return FenceProof{"its agent says that mysqld has ended"};
  if (agent.word && agent.word->fenced >= cluster_.epoch) return FenceProof{"its agent made it read-only"};
  if (fence_command_done_) return FenceProof{"fence.command succeeded"};

  if (old.up() && !old.writable()) return FenceProof{"it is read-only"};
  if (order_.forced && !guarded_) return FenceProof{"not confirmed, by the operator's word", false};
  const bool leases = cluster_.config.heartbeat.lease > 0s && old.settings.has_agent();
  const bool dead = old.is(Verdict::dead);
  if (!leases && dead) {
    const std::string lacks = old.settings.has_agent() ? "no lease" : "no agent";
    return FenceProof{lacks + " and no fence.command: silence for deadtime is all that is known", false};
  }
  // An agent that is heard and says that the server accepts writes knows better.
  const bool denied = agent.host_alive(cluster_.config.heartbeat.warntime, now) && says_writable(*agent.word);
  if (guarded_ && old.lease.over(now) && !denied) return FenceProof{"its lease is over"};
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
  // A process that is ending closes its connections last, after hundreds of milliseconds when it is large.
  // Under semi-sync nobody waits for what is still to be read: a pause in it is end enough.
  if (ledger_.semi_sync_active()) stop.quiet = 2ms;
  // After silence for deadtime nothing is on its way any more.
  if (verdict_ == to_string(Verdict::dead) || verdict_ == to_string(Verdict::cut_off)) stop.drain = {};
  for (const auto& server : cluster_.servers) {
    if (server.id == order_.from || server.maintenance || !server.up() || server.replica() == nullptr)
      continue;
    // What the others have counts as well, unless the operator wants the one that he named in any case.
    if (order_.forced && order_.to && *order_.to != server.id) continue;
    if (stays_chained(server)) continue;
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
  if (order_.from) promise_ = promise_of_old(shortfall);
  std::string note = candidate.name();
  for (const auto& refusal : choice.passed_over)
    note += ", not " + cluster_.at(refusal.backend).name() + " (" + refusal.why + ")";
  for (const auto& refusal : choice.refused)
    note += ", not " + cluster_.at(refusal.backend).name() + " (" + refusal.why + ")";
  advance(now, note);
}

// It goes on receiving from its source, whoever the primary is.
bool Change::stays_chained(const Server& server) const {
  const Server* source = cluster_.source_of(server);
  return keeps_chain(cluster_, server) && source->id != order_.from;
}

// Weighed when nothing more can come to the successor and nothing more be answered by the old primary.
Promise Change::promise_of_old(const Shortfall& shortfall) const {
  const Server& old = cluster_.at(*order_.from);
  const GtidSet last_word = fenced_at_.united(gtids_of(old.evidence.agent.committed));
  Promise promise = weigh({.ledger = ledger_,
                           .received = target_,
                           .missing = shortfall.missing.minus(target_),
                           .all_asked = shortfall.all_known(),
                           .forgotten_by_both = shortfall.forgotten_by_both,
                           .let_go = shortfall.let_go,
                           .last_word = last_word,
                           .ended_at = ended_at_,
                           .in_flight = cluster_.config.monitor.interval / 2});
  promise.successor = cluster_.at(*candidate_).name();
  promise.epoch = cluster_.epoch;
  promise.process_ended = old.is(Verdict::crashed);
  promise.end_unseen = promise.process_ended ? !old.evidence.agent.saw_kill : !guarded_;
  return promise;
}

void Change::enter_read_only(Instant) {
  make_read_only(*order_.from,
                 {.timeout = 2000ms, .stop_events = true, .end_holders = order_.end_transactions}, true);
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
  if (order_.from) {
    Server& old = cluster_.at(*order_.from);
    old.fenced = true;
    old.promise = promise_;
    old.reign_started = reign_started_;
    // One that is never promoted may have received more: what is known of the old primary's last transactions
    // is known of those there as well.
    for (auto& server : cluster_.servers) {
      const bool spared = server.settings.never_promote && cluster_.follows(server, old);
      if (promise_ && spared && !promise_->safe.contains(holdings(server))) server.promise = promise_;
    }
  }
  for (auto& server : cluster_.servers) server.heir = false;
  Server& candidate = cluster_.at(*candidate_);
  candidate.fenced = candidate.quarantined = false;
  candidate.read_only_by_us = candidate.receiver_stopped_by_us = false;
  candidate.errant = {};
  candidate.being_turned = false;
  candidate.taking_back.reset();
  candidate.promise.reset();
  // What the old one answered without a replica is in its promise now.
  if (durable_.degraded && durable_.degraded->primary != candidate.name()) durable_.degraded.reset();
  cluster_.primary = candidate_;
  outbox_.route(cluster_.epoch, cluster_.paused ? RouteMode::holding : RouteMode::open, candidate_,
                cluster_.paused ? "paused by the operator" : "");
  store(candidate.name(), false);
  total_ = now - order_.evidence_at;
  advance(now);
}

void Change::enter_repoint(Instant now) {
  const Server& primary = cluster_.at(*candidate_);
  for (auto& server : cluster_.servers) {
    if (server.id == primary.id || server.maintenance || server.quarantined || stays_chained(server))
      continue;
    const bool planned_old = order_.kind == Kind::switchover && server.id == order_.from;
    // The new primary's report is from after its promotion: what a replica has beyond it was never on any
    // line to it.
    const bool replica_in_step = server.replica() != nullptr && server.id != order_.from &&
                                 primary.report().executed.contains(server.report().executed);
    if (!server.up() || !(planned_old || replica_in_step)) continue;
    server.being_turned = true;
    const Follow follow = order_to_follow(cluster_, server, primary);
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

}  // namespace pointsman::core
