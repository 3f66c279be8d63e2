#include "health/core/controller.h"

#include <algorithm>
#include <utility>

#include "health/core/candidate.h"
#include "health/core/topology.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_retry_pause = 100ms;
constexpr Duration longest_retry_pause = 15s;
// A statement that waits for a lock when its daemon is killed waits on, at most for the lock_wait_timeout
// that it was given.
constexpr Duration late_order_time = 10s;

// A receiver that does not run although nothing went wrong, found at the start: was it an earlier daemon of
// ours, killed in the middle of a change? Then the applier runs; or there is a mark, which is durable before
// more than receivers are touched.
bool stopped_by_a_person(const Server& server, bool interrupted) {
  const ReplicaStatus* replica = server.replica();
  return replica != nullptr && replica->io == ReplicaStatus::Io::no && !interrupted && !replica->sql;
}

// A crash has its moment; of any other end only the last sign of life is known.
Instant first_sign_of_death(const Server& server) {
  const Evidence& evidence = server.evidence;
  if (!server.is(Verdict::crashed)) return evidence.last_contact();
  const auto& by_agent = evidence.agent.saw_end_at;
  if (by_agent && evidence.lost_at) return std::min(*by_agent, *evidence.lost_at);
  return by_agent ? *by_agent : evidence.lost_at.value_or(evidence.last_contact());
}

}  // namespace

const char* to_string(State state) {
  switch (state) {
    case State::steady:
      return "steady";
    case State::failing_over:
      return "failing_over";
    case State::switching_over:
      return "switching_over";
    case State::no_primary:
      return "no_primary";
    case State::paused:
      return "paused";
  }
  return "?";
}

const char* to_string(RouteMode mode) {
  switch (mode) {
    case RouteMode::open:
      return "open";
    case RouteMode::holding:
      return "holding";
    case RouteMode::draining:
      return "draining";
    case RouteMode::closed:
      return "closed";
  }
  return "?";
}

Controller::Controller(conf::Config config, DurableState stored, Instant now, std::int64_t unix_ms)
    : cluster_(std::move(config), now),
      durable_(std::move(stored)),
      caretaker_(cluster_, outbox_),
      reason_("starting: no server has answered yet"),
      started_(now),
      unix_ms_at_start_(unix_ms),
      promised_(now) {
  cluster_.epoch = durable_.epoch;
  outbox_.begin_with(durable_.epoch);
  cluster_.paused = durable_.paused;
  if (durable_.degraded && durable_.degraded->primary == durable_.primary) {
    ledger_of_ = cluster_.find(durable_.primary);
    ledger_.phase().resume(*durable_.degraded);
  }
  cluster_.events_due = durable_.events_due;
  if (durable_.automatic) cluster_.automatic = *durable_.automatic;
  for (auto& server : cluster_.servers) {
    const auto listed = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), server.name()) != names.end();
    };
    server.maintenance = listed(durable_.maintenance);
    server.quarantined = listed(durable_.quarantined);
    server.being_turned = listed(durable_.following);
    // An earlier daemon may have granted one until this moment.
    server.leased = listed(durable_.leased);
    if (const auto begun = durable_.taking_back.find(server.name()); begun != durable_.taking_back.end())
      server.taking_back = begun->second;
    if (const auto made = durable_.promises.find(server.name()); made != durable_.promises.end())
      server.promise = made->second;
    if (const auto led = durable_.leaders.find(server.name()); led != durable_.leaders.end())
      server.leader = cluster_.find(led->second);
    if (server.settings.has_agent()) server.lease.on_granted(now, cluster_.config.heartbeat.lease);
    // Should its promotion have been begun, it replicates from nobody any more.
    server.heir = durable_.change && durable_.change->to == server.name();
  }
}

Actions Controller::begin(std::optional<BackendId> served) {
  adoption_rules_.served = served;
  want_route(RouteMode::closed, std::nullopt, reason_);
  return outbox_.take();
}

State Controller::state() const {
  if (change_ && change_->order().kind == Change::Kind::switchover) return State::switching_over;
  if (change_) return State::failing_over;
  if (cluster_.paused) return State::paused;
  return outbox_.current_route().mode == RouteMode::open ? State::steady : State::no_primary;
}

Actions Controller::step(const Event& event, Instant now) {
  forgive_stall(now);
  absorb(event, now);
  judge_all(now);
  notice_isolation(now);
  watch_links(now);
  decide(now);

  promised_ = now + cluster_.config.monitor.interval;
  for (const auto& server : cluster_.servers) {
    if (server.judgement.until) promised_ = std::min(promised_, std::max(*server.judgement.until, now));
  }
  if (change_) promised_ = std::min(promised_, std::max(change_->deadline(), now));
  if (preparation_) promised_ = std::min(promised_, std::max(preparation_->deadline(), now));
  promised_ = std::min(promised_, std::max(links_due_, now));
  promised_ = std::min(promised_, std::max(caretaker_.next_deadline(), now));
  if (retry_at_ > now) promised_ = std::min(promised_, retry_at_);
  if (store_failing()) promised_ = std::min(promised_, std::max(store_again_at_, now));
  return outbox_.take();
}

// --- decisions
// ------------------------------------------------------------------------------------------------------

void Controller::decide(Instant now) {
  if (change_ && change_->finished()) conclude_change(now);
  if (preparation_) watch_preparation(now);
  if (change_) return;
  store_again(now);
  if (adopting_) return try_adoption(now);
  if (note_followers(cluster_)) persist();

  Server& primary = *cluster_.primary_server();
  if (calls_for_failover(primary.judgement.verdict)) {
    consider_failover(primary, now);
  } else if (const Recovery recovery = compare_after_restart(cluster_, primary);
             recovery.takes_over && cluster_.automatic && !primary.maintenance && now >= retry_at_) {
    Change::Order order;
    order.kind = Change::Kind::failover;
    order.from = primary.id;
    order.automatic = true;
    order.evidence_at = now;
    note("outran", &primary,
         primary.name() + " came back without transactions that " + recovery.ahead->name() +
             " has: such a one takes over");
    begin_change(order, now);
  } else if (!primary.is(Verdict::suspect)) {
    outage_since_.reset();
    refusal_recorded_ = false;
    retry_pause_ = {};
    for (auto& server : cluster_.servers) server.failed_catch_ups = 0;
  }
  if (change_) return;
  // By then it has been carried out, or never will be.
  if (late_orders_until_ && now >= *late_orders_until_) {
    late_orders_until_.reset();
    if (primary.writable()) primary.read_only_by_us = false;
  }
  keep_route(now);
  caretaker_.care(now);
  if (caretaker_.take_dirty()) persist();
  maybe_fail_back(now);
}

void Controller::try_adoption(Instant now) {
  Adoption adoption = decide_primary(cluster_, durable_, adoption_rules_);
  if (adoption.kind == Adoption::Kind::wait || adoption.kind == Adoption::Kind::ambiguous) {
    const bool news = adoption.kind == Adoption::Kind::ambiguous && reason_ != adoption.why;
    reason_ = adoption.why;
    if (news) note("no_primary", nullptr, reason_);
    return want_route(RouteMode::closed, std::nullopt, reason_);
  }
  const Server& primary = cluster_.at(*adoption.primary);
  adopting_ = false;
  cluster_.primary = primary.id;
  cluster_.at(primary.id).quarantined = false;
  if (durable_.change) {
    cluster_.at(primary.id).read_only_by_us = true;
    late_orders_until_ = now + late_order_time;
  }
  // After a promotion that failed the old primary is the primary again: what it was known to have still
  // counts.
  if (ledger_of_ != primary.id) ledger_.forget();
  if (!ledger_.has_samples() && !ledger_.phase().mark()) ledger_.phase().begin(primary.name());
  // By what it was found, it is also known from now on.
  const Evidence& evidence = primary.evidence;
  const bool found_writable = primary.writable() && !ledger_.has_samples();
  if (found_writable) {
    ledger_.on_report(primary.report(), *evidence.report_from, *evidence.report_until, PrimaryLedger::span);
    ledger_of_ = primary.id;
  }
  const bool same = durable_.primary == primary.name() && !durable_.change && cluster_.epoch.value > 0;
  // An interrupted change used its epoch already; a new primary, even one found, never shares one with
  // another.
  if (!same) cluster_.epoch = Epoch{cluster_.epoch.value + 1};
  for (auto& server : cluster_.servers) {
    const bool interrupted = durable_.change.has_value() || server.being_turned;
    if (server.id == primary.id) server.being_turned = false;
    if (server.id == primary.id || stopped_by_a_person(server, interrupted)) continue;
    // An order to promote that was given and not obeyed yet stops it whenever it is.
    const bool may_stop = server.heir && server.receiver_stopped_by_us;
    server.receiver_stopped_by_us =
        may_stop || server.replica() == nullptr || server.replica()->io == ReplicaStatus::Io::no;
  }
  if (!same) persist();
  note("adopted", &primary, primary.name() + " is the primary: " + adoption.why);
  if (found_writable) watch_semi_sync(primary, *evidence.report_from, *evidence.report_until);
  decide(now);
}

void Controller::consider_failover(Server& primary, Instant now) {
  if (!outage_since_) outage_since_ = now;
  if (now < retry_at_ || now < hold_until_) return;
  auto reasons = vetoes({cluster_, primary, ledger_, recent_failovers_, now});
  if (store_failing())
    reasons.push_back("the state cannot be stored (" + store_error_ +
                      "): no promotion without a durable epoch");
  if (reasons.empty()) {
    Change::Order order;
    order.kind = Change::Kind::failover;
    order.from = primary.id;
    order.automatic = true;
    order.evidence_at = first_sign_of_death(primary);
    return begin_change(order, now);
  }
  reason_ = primary.name() + " is " + to_string(primary.judgement.verdict) + " and nobody takes over: ";
  for (const auto& why : reasons) reason_ += (why == reasons.front() ? "" : "; ") + why;
  // The others' answers may be older than the crash: what they say next often lifts the veto.
  if (refusal_recorded_ || now - *outage_since_ < 2 * Duration(cluster_.config.monitor.interval)) return;
  refusal_recorded_ = true;
  note("refused", &primary, reason_);
}

void Controller::begin_change(Change::Order order, Instant now) {
  if (preparation_) {
    preparation_->refuse(std::string("a ") + to_string(order.kind) + " began");
    watch_preparation(now);
  }
  caretaker_.drop_all();
  reason_ = std::string(to_string(order.kind)) + " in progress";
  if (cluster_.primary && !adopting_ && outbox_.stored_epoch() == cluster_.epoch)
    reign_ = Reign{cluster_.epoch, *cluster_.primary};
  change_ = std::make_unique<Change>(cluster_, outbox_, ledger_, durable_, std::move(order), now);
  // After its first orders: telling of them comes second.
  outbox_.record(change_->beginning());
  if (change_->finished()) conclude_change(now);
}

void Controller::conclude_change(Instant now) {
  const std::unique_ptr<Change> ended = std::move(change_);
  HistoryRecord record = ended->record(now);
  const Change::Order& order = ended->order();
  if (ended->succeeded()) {
    reason_.clear();
    adopting_ = false;
    // While the others were repointed it was seen to serve already.
    if (!order.from || ledger_of_ != cluster_.primary) begin_ledger(*cluster_.primary_server());
    retry_pause_ = {};
    if (order.kind == Change::Kind::failover) last_failover_took_ = record.total;
    if (order.automatic && order.kind == Change::Kind::failover) {
      recent_failovers_.push_back(now);
      while (recent_failovers_.size() > cluster_.config.failover.max_in_window) recent_failovers_.pop_front();
      if (cluster_.config.failover.failback) fail_back_to_ = order.from;
    } else {
      fail_back_to_.reset();
    }
    outage_since_.reset();
    refusal_recorded_ = false;
    persist();  // nobody is being turned round any more
    const Server& primary = *cluster_.primary_server();
    if (primary.writable())
      watch_semi_sync(primary, *primary.evidence.report_from, *primary.evidence.report_until);
  } else {
    if (order.kind == Change::Kind::failover) {
      retry_pause_ = std::clamp(retry_pause_ * 2, first_retry_pause, longest_retry_pause);
      retry_at_ = now + retry_pause_;
    }
    reason_ = record.message;
    if (ended->uncertain() || !order.from) {
      adopting_ = true;
      // Whoever keeps leases counts on clients beside the proxy, who may have written to a server that was
      // promoted.
      const bool leases =
          cluster_.config.heartbeat.lease > Duration::zero() &&
          std::ranges::any_of(cluster_.servers, [](const Server& s) { return s.settings.has_agent(); });
      adoption_rules_ = {now, !leases};
      cluster_.primary.reset();
      for (const auto& server : cluster_.servers) outbox_.add(ProbeNow{server.id});
    }
  }
  outbox_.record(record);
  if (order.request) {
    Reply reply{*order.request, ended->succeeded(), record.message, record, {}, {}, {}};
    outbox_.reply(std::move(reply));
  }
}

void Controller::begin_ledger(const Server& primary) {
  ledger_.begin(primary.name(), primary.report().executed);
  ledger_of_ = primary.id;
}

void Controller::keep_route(Instant) {
  const Server& primary = *cluster_.primary_server();
  if (calls_for_failover(primary.judgement.verdict))
    return want_route(RouteMode::closed, std::nullopt, reason_);
  if (!primary.answered()) {
    reason_ = primary.name() + ", the primary of record, has not answered yet: " + primary.judgement.why;
    return want_route(RouteMode::closed, std::nullopt, reason_);
  }
  if (primary.up() && !primary.writable() &&
      (primary.read_only_by_us || primary.evidence.restarted_since_writable())) {
    reason_ = primary.name() + (primary.trouble.empty() ? " is read-only and is about to accept writes again"
                                                        : " is read-only: " + primary.trouble);
    return want_route(RouteMode::closed, std::nullopt, reason_);
  }
  const SetRoute& route = outbox_.current_route();
  const bool serving =
      route.backend == primary.id && (route.mode == RouteMode::open || route.mode == RouteMode::holding);
  if (!serving && !(primary.up() && primary.writable())) {  // not before it is known to be well
    if (primary.up()) reason_ = primary.name() + ", the primary of record, is read-only, and not by us";
    return want_route(RouteMode::closed, std::nullopt, reason_);
  }
  reason_.clear();
  if (cluster_.paused) return want_route(RouteMode::holding, primary.id, "paused by the operator");
  want_route(RouteMode::open, primary.id, "");
}

void Controller::want_route(RouteMode mode, std::optional<BackendId> backend, const std::string& reason) {
  const SetRoute& now = outbox_.current_route();
  const bool same = now.token != 0 && now.mode == mode && now.backend == backend &&
                    now.epoch == cluster_.epoch && now.reason == reason;
  if (!same) outbox_.route(cluster_.epoch, mode, backend, reason);
}

void Controller::maybe_fail_back(Instant now) {
  if (!fail_back_to_ || preparation_ || !cluster_.automatic || now < retry_at_ || now < fail_back_at_) return;
  std::optional<BackendId> to = fail_back_to_;
  const Duration max_wait = SwitchoverWanted{}.max_wait;
  if (!refuse_switchover(to, max_wait).empty()) return;
  Preparation::Order order;
  order.from = *cluster_.primary;
  order.to = *to;
  order.max_wait = max_wait;
  preparation_ = std::make_unique<Preparation>(cluster_, outbox_, order, now);
}

// What should be stored is kept trying: a mark that stayed on disk would make the next start doubt who is
// primary.
void Controller::store_again(Instant now) {
  if (!store_failing() || now < store_again_at_) return;
  store_again_at_ = now + store_pause;
  outbox_.store(durable_);
}

void Controller::persist() {
  durable_.epoch = cluster_.epoch;
  if (cluster_.primary && !change_) {
    durable_.primary = cluster_.primary_server()->name();
    durable_.change.reset();
    durable_.degraded = ledger_.phase().mark();
  }
  durable_.paused = cluster_.paused;
  remember_servers(durable_, cluster_);
  outbox_.store(durable_);
}

void Controller::note(const std::string& kind, const Server* server, std::string message) {
  HistoryRecord record;
  record.kind = kind;
  record.epoch = cluster_.epoch;
  if (server != nullptr) record.backend = server->name();
  if (server != nullptr && kind == "verdict") record.verdict = to_string(server->judgement.verdict);
  record.message = std::move(message);
  outbox_.record(std::move(record));
}

}  // namespace pointsman::core
