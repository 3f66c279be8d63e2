// The operator's wishes, warnings and explanations: the part of the controller that speaks with people.
#include <algorithm>

#include "health/core/controller.h"
#include "health/core/topology.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

constexpr Duration fail_back_pause = 30s;

std::string list(const Cluster& cluster, const std::vector<Refusal>& refused) {
  std::string text;
  for (const auto& refusal : refused)
    text += (text.empty() ? "" : "; ") + cluster.at(refusal.backend).name() + ": " + refusal.why;
  return text;
}

std::string why_not_ready(const Cluster& cluster, const Server& target, const Server& primary,
                          Duration max_wait) {
  const ReplicaStatus* replica = target.replica();
  const std::string& name = target.name();
  if (replica == nullptr || !cluster.follows(target, primary))
    return name + " does not replicate from " + primary.name();
  const bool runs = replica->io == ReplicaStatus::Io::yes && replica->sql;
  // We restart its threads, or they just start: that is waited for.
  const bool starts = target.being_turned || target.receiver_stopped_by_us ||
                      (replica->io == ReplicaStatus::Io::connecting && replica->sql);
  const bool will_run = starts && replica->io_errno == 0 && replica->sql_errno == 0;
  if (!runs && will_run) return "";
  if (replica->io != ReplicaStatus::Io::yes)
    return name + " does not receive from " + primary.name() + " (" + replica->io_error + ")";
  if (!replica->sql) return name + "'s SQL thread does not run (" + replica->sql_error + ")";
  if (!replica->lag) return name + "'s lag is unknown";
  // What is less is waited for.
  if (*replica->lag > std::max(max_wait, Duration(Preparation::max_lag))) {
    return name + " is " + std::to_string(replica->lag->count()) + " s behind: wait until it has caught up";
  }
  if (!target.errant.empty()) {
    return name + " has transactions that " + primary.name() + " does not have: " + target.errant.to_string();
  }
  return "";
}

}  // namespace

std::string Controller::refuse_switchover(std::optional<BackendId>& to, Duration max_wait) const {
  const Server* primary = cluster_.primary_server();
  if (change_) return std::string("a ") + to_string(change_->order().kind) + " is in progress";
  if (store_failing())
    return "the state cannot be stored (" + store_error_ + "): no promotion without a durable epoch";
  if (primary == nullptr || adopting_) return "there is no primary: " + reason_;
  if (!primary->up() || !primary->writable()) {
    return primary->name() + " is " + to_string(primary->judgement.verdict) + " (" + primary->judgement.why +
           "): `pointsman failover` replaces a primary that does not serve";
  }
  if (to == primary->id) return primary->name() + " is the primary already";
  ChoiceRules rules;
  rules.from = primary->id;
  rules.only = to;
  rules.planned = true;
  const Choice choice = choose(cluster_, rules);
  std::string unready;
  for (const BackendId candidate : choice.eligible) {
    const std::string why = why_not_ready(cluster_, cluster_.at(candidate), *primary, max_wait);
    if (why.empty()) {
      to = candidate;
      return "";
    }
    unready += (unready.empty() ? "" : "; ") + why;
  }
  const std::string refused = to && !unready.empty() ? "" : list(cluster_, choice.refused);
  return unready + (unready.empty() || refused.empty() ? "" : "; ") + refused;
}

void Controller::handle(const SwitchoverWanted& wish, Instant now) {
  std::optional<BackendId> to = wish.to;
  const std::string refusal =
      preparation_ ? "a switchover is being prepared" : refuse_switchover(to, wish.max_wait);
  if (!refusal.empty())
    return outbox_.reply(wish.id, false, "switchover refused, nothing was changed: " + refusal);
  preparation_ = std::make_unique<Preparation>(
      cluster_, outbox_,
      Preparation::Order{wish.id, *cluster_.primary, *to, wish.dry_run, wish.max_wait, wish.end_transactions},
      now);
}

// Goes on with what it has come to; while it works, what was checked at its begin must go on to hold.
void Controller::watch_preparation(Instant now) {
  const Preparation::Order& order = preparation_->order();
  std::optional<BackendId> to = order.to;
  if (preparation_->state() == Preparation::State::working ||
      preparation_->state() == Preparation::State::ready) {
    std::string refusal = refuse_switchover(to, order.max_wait);
    if (refusal.empty() && cluster_.primary != order.from) refusal = "the primary is another meanwhile";
    if (refusal.empty() && preparation_->state() == Preparation::State::working) return;
    if (!refusal.empty()) preparation_->refuse(std::move(refusal));
  }
  const std::unique_ptr<Preparation> ended = std::move(preparation_);
  const std::string names = cluster_.at(order.from).name() + " -> " + cluster_.at(order.to).name();
  if (ended->state() == Preparation::State::refused) {
    const std::string text = "switchover refused, nothing was changed: " + ended->why();
    if (order.request) return outbox_.reply(*order.request, false, text);
    fail_back_at_ = now + fail_back_pause;
    return note("failback", &cluster_.at(order.to), names + " " + text);
  }
  if (order.dry_run) {
    Reply reply;
    reply.id = *order.request;
    reply.text = "switchover " + names + " would run; nothing was changed";
    reply.plan =
        Change::plan(Change::Kind::switchover, cluster_.at(order.from).name(), cluster_.at(order.to).name());
    reply.waits = ended->in_the_way();
    return outbox_.reply(std::move(reply));
  }
  if (!order.request) fail_back_to_.reset();
  Change::Order change;
  change.kind = Change::Kind::switchover;
  change.from = order.from;
  change.to = order.to;
  change.request = order.request;
  change.automatic = !order.request;
  change.end_transactions = order.end_transactions;
  change.preparation = ended->story(now);
  change.evidence_at = now;
  begin_change(change, now);
}

void Controller::handle(const FailoverWanted& wish, Instant now) {
  const auto refuse = [&](const std::string& why) {
    outbox_.reply(wish.id, false, "failover refused, nothing was changed: " + why);
  };
  if (change_) return refuse(std::string("a ") + to_string(change_->order().kind) + " is in progress");
  if (store_failing())
    return refuse("the state cannot be stored (" + store_error_ + "): no promotion without a durable epoch");
  const Server* primary = adopting_ ? nullptr : cluster_.primary_server();
  if (primary == nullptr && !wish.to)
    return refuse("there is no primary (" + reason_ + "): name the new one with --to");
  if (primary == nullptr && !wish.force) return refuse(reason_ + " (--force takes the responsibility)");
  const bool same = primary != nullptr && wish.to == primary->id;
  if (same && primary->writable() && primary->up())
    return refuse(primary->name() + " is the primary already");
  if (same && !wish.force)
    return refuse(primary->name() + " is the primary of record; --force makes it writable again");
  if (primary != nullptr && !same && !wish.force && !calls_for_failover(primary->judgement.verdict)) {
    return refuse(primary->name() + " is " + to_string(primary->judgement.verdict) +
                  ": use `pointsman switchover`, or --force if you know that it does not serve");
  }
  Change::Order order;
  order.kind = Change::Kind::failover;
  if (primary != nullptr && !same) order.from = primary->id;
  order.to = wish.to;
  order.forced = wish.force;
  order.request = wish.id;
  order.evidence_at = now;

  ChoiceRules rules;
  rules.from = order.from;
  rules.only = order.to;
  rules.forced = order.forced;
  const Choice choice = choose(cluster_, rules);
  if (!choice.candidate) return refuse(list(cluster_, choice.refused));
  const Server& candidate = cluster_.at(*choice.candidate);
  const std::string forbidden =
      why_forbidden(shortfall(cluster_, candidate, order.from, ledger_, false), cluster_, candidate);
  if (!forbidden.empty() && !wish.force) return refuse(forbidden);
  begin_change(order, now);
}

void Controller::handle(const RejoinWanted& wish, Instant now) {
  if (change_)
    return outbox_.reply(wish.id, false,
                         std::string("a ") + to_string(change_->order().kind) + " is in progress");
  caretaker_.rejoin(wish, now);
}

void Controller::handle(const MaintenanceWanted& wish, Instant) {
  Server& server = cluster_.at(wish.backend);
  server.maintenance = wish.on;
  note("maintenance", &server, server.name() + (wish.on ? " is in maintenance" : " is out of maintenance"));
  std::string text = server.name() + (wish.on ? ": maintenance on" : ": maintenance off");
  if (wish.on && cluster_.primary == wish.backend) text += "; it is the primary, and will not be failed over";
  outbox_.reply_once_stored(wish.id, std::move(text));
  persist();
}

void Controller::handle(const AutomaticWanted& wish, Instant) {
  cluster_.automatic = wish.on;
  durable_.automatic = wish.on;
  const std::string text = std::string("automatic failover is ") + (wish.on ? "on" : "off");
  note("automatic", nullptr, text);
  outbox_.reply_once_stored(wish.id, text);
  persist();
}

void Controller::handle(const PauseWanted& wish, Instant) {
  cluster_.paused = wish.on;
  note(wish.on ? "paused" : "resumed", nullptr, wish.on ? "new clients are held" : "clients are let go");
  outbox_.reply_once_stored(wish.id, wish.on ? "new clients are held; sessions go on" : "clients are let go");
  persist();
}

void Controller::handle(const Reconfigured& event, Instant) {
  const bool automatic_changed = cluster_.config.failover.automatic != event.config.failover.automatic;
  cluster_.config = event.config;
  for (auto& server : cluster_.servers) {
    const auto again = std::ranges::find(cluster_.config.backends, server.name(), &conf::Backend::name);
    if (again == cluster_.config.backends.end()) continue;
    server.settings.priority = again->priority;
    server.settings.never_promote = again->never_promote;
  }
  caretaker_.reconsider();
  if (automatic_changed) {
    // The file is the operator's newest word.
    cluster_.automatic = event.config.failover.automatic;
    durable_.automatic.reset();
    persist();
  }
  note("reloaded", nullptr, "the configuration was read again");
}

// The catch-up of a replica that applies with one thread is the outage, when several clients write.
void Controller::add_applier_warnings(std::vector<std::string>& list) const {
  std::string serial;
  std::string disordered;
  const Server* any = nullptr;
  const auto add = [](std::string& names, const Server& server) {
    names += (names.empty() ? "" : " and ") + server.name();
  };
  for (const auto& server : cluster_.servers) {
    if (server.maintenance || !server.answered()) continue;
    any = &server;
    if (server.report().appliers && *server.report().appliers < 2) add(serial, server);
    if (!server.report().keeps_commit_order) add(disordered, server);
  }
  if (any == nullptr) return;
  const bool mariadb = any->report().flavour == Flavour::mariadb;
  const char* what = mariadb ? "slave_parallel_threads = 8, slave_parallel_mode = optimistic"
                             : "replica_parallel_workers = 8";
  if (!serial.empty())
    list.push_back(serial +
                   " as a replica: one thread applies all, and falls behind several writers; a "
                   "failover waits until it has caught up: set " +
                   what);
  if (!disordered.empty())
    list.push_back(disordered +
                   " as a replica: shows states that the primary never had: set "
                   "replica_preserve_commit_order = ON");
}

std::vector<std::string> Controller::warnings() const {
  std::vector<std::string> list;
  if (!store_error_.empty())
    list.push_back("the state cannot be stored, so no promotion is possible: " + store_error_);
  if (!cluster_.automatic) list.emplace_back("automatic failover is off");
  const bool no_agents = std::none_of(cluster_.servers.begin(), cluster_.servers.end(),
                                      [](const Server& s) { return s.settings.has_agent(); });
  if (no_agents) {
    list.emplace_back(
        "no agents: silence cannot be told from a cut cable, and a primary that is cut off is not fenced");
  } else if (cluster_.config.heartbeat.lease == Duration::zero()) {
    list.emplace_back("lease is 0: a primary that is cut off goes on taking writes");
  }
  const Server* primary = cluster_.primary_server();
  if (primary != nullptr && primary->settings.never_promote)
    list.push_back(primary->name() + " is the primary although it is never to be promoted (never_promote)");
  bool has_replica = false;
  for (const auto& server : cluster_.servers) {
    if (server.maintenance) {
      list.push_back(server.name() + " is in maintenance");
      continue;
    }
    if (!server.up() && &server != primary)
      list.push_back(server.name() + " is " + to_string(server.judgement.verdict) + ": " +
                     server.judgement.why);
    if (&server == primary && !server.up())
      list.push_back("the primary " + server.name() + " is " + to_string(server.judgement.verdict) + ": " +
                     server.judgement.why);
    if (server.up() && !server.trouble.empty()) list.push_back(server.name() + ": " + server.trouble);
    if (server.settings.has_agent()) add_agent_warnings(server, list);
    if (server.answered() && !server.report().log_bin)
      list.push_back(server.name() + " writes no binary log (log_bin), so nobody can replicate from it");
    if (server.answered() && !server.report().gtid_on) list.push_back(server.name() + " has gtid_mode off");
    if (server.answered() && !server.report().log_replica_updates)
      list.push_back(server.name() +
                     " does not log what it replicates (log_slave_updates), so it cannot take over");
    has_replica |= server.up() && primary != nullptr && cluster_.follows(server, *primary) &&
                   server.replica()->io == ReplicaStatus::Io::yes;
  }
  if (primary != nullptr && !has_replica)
    list.push_back("no replica receives from " + primary->name() + ": nobody can take over");
  const auto& degraded = ledger_.phase().mark();
  if (primary != nullptr && degraded) {
    list.push_back(primary->name() + " answers commits without a replica since " + in_words(degraded->since) +
                   ": automatic failover is refused to a replica that lacks them");
  } else if (primary != nullptr && primary->answered() && has_replica &&
             cluster_.config.replication.semi_sync != conf::SemiSync::off && primary->writable() &&
             !primary->report().semi_sync.source_active) {
    list.push_back("semi-sync is not active on " + primary->name() + ": commits do not wait for a replica");
  }
  add_applier_warnings(list);
  for (const auto& server : cluster_.servers) {
    if (cluster_.config.proxy.proxy_protocol == conf::ProxyProtocol::off || !server.answered()) continue;
    if (const auto why = why_no_proxy_header(server.report()); !why.empty())
      list.push_back("no clients for " + server.name() + ": " + why);
  }
  return list;
}

std::string Controller::verdict_needed(const Server& primary) const {
  const std::string deadtime = std::to_string(to_ms(cluster_.config.heartbeat.deadtime)) + " ms";
  std::string text = "crashed (its connections end and " +
                     std::to_string(cluster_.config.failover.refused_confirm) + " reconnects are refused";
  if (!primary.settings.has_agent())
    return text + "), or dead (silent for " + deadtime + ", by SQL alone: no agent)";
  text += "; or its agent sees mysqld end); hung or cut off (silent for " + deadtime +
          " while its agent is heard, which then fences it); or dead (all silent for " + deadtime;
  const bool leases = cluster_.config.heartbeat.lease > Duration::zero();
  if (leases && cluster_.guarded(primary)) text += ", and its lease over";
  if (!cluster_.config.fence.command.empty()) text += ", and fence.command successful";
  return text + ")";
}

Controller::Explanation Controller::explain(Instant now) const {
  Explanation explanation;
  explanation.expected = last_failover_took_;
  const Server* primary = cluster_.primary_server();
  if (primary == nullptr) {
    explanation.text = "there is no primary: " + reason_;
    explanation.vetoes.push_back(explanation.text);
    return explanation;
  }
  explanation.verdict_needed = verdict_needed(*primary);
  explanation.vetoes = vetoes({cluster_, *primary, ledger_, recent_failovers_, now});
  ChoiceRules rules;
  rules.from = primary->id;
  const Choice choice = choose(cluster_, rules);
  if (choice.candidate) {
    const Server& candidate = cluster_.at(*choice.candidate);
    explanation.candidate = candidate.name();
    for (const auto* some : {&choice.passed_over, &choice.refused}) {
      for (const auto& other : *some)
        explanation.passed_over.push_back(cluster_.at(other.backend).name() + ": " + other.why);
    }
    const GtidSet missing = shortfall(cluster_, candidate, primary->id, ledger_, false).missing;
    explanation.at_stake = at_stake().united(missing).count();
    if (ledger_.semi_sync_active() && missing.empty()) {
      explanation.loss = "none: commits wait for a replica";
    } else {
      explanation.loss = missing.empty()
                             ? "only what is in flight at that moment (commits do not wait for a replica)"
                             : std::to_string(missing.count()) + " transactions: " + missing.to_string();
    }
    if (const auto& degraded = ledger_.phase().mark())
      explanation.loss += "; commits are answered without a replica since " + in_words(degraded->since);
  }
  if (const GtidSet stake = at_stake(); !choice.candidate && !stake.empty()) {
    explanation.at_stake = stake.count();
    explanation.loss = std::to_string(stake.count()) + " transactions: " + stake.to_string();
  }
  const bool would = explanation.vetoes.empty() && choice.candidate;
  explanation.text =
      would ? "if " + primary->name() + " died now, " + explanation.candidate + " would take over"
            : "if " + primary->name() + " died now, nobody would take over";
  return explanation;
}

}  // namespace pointsman::core
