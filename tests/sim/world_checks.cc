// What must never be otherwise, checked after every event that the core was given; and texts for traces.
#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace pointsman::sim {

using namespace core;

namespace {

// A server that has been well for this long is known to be.
constexpr Duration surely_known = 1s;

}  // namespace

void World::violated(std::string what) {
  story("WRONG", what);
  violations_.push_back(std::move(what));
}

void World::check(const Event&, const Actions& actions, bool changing_before) {
  const Change* change = core_->change();
  if (change != nullptr && !changing_before && change->order().automatic &&
      change->order().kind == Change::Kind::failover) {
    const std::size_t from = index(*change->order().from);
    const Verdict seen = verdict(from);
    // Only one that restarted without what a replica has may be replaced while it answers; it serves nobody.
    const bool serves = core_->cluster().servers[from].writable();
    if (!calls_for_failover(seen) && serves)
      violated("a failover starts although " + name(from) + " is " + to_string(seen));
    const bool well = servers_[from].accepts_writes() && reachable(from) && !servers_[from].sick &&
                      !probe_time_.contains(from);
    if (well && now() - ill_until_[from] > surely_known)
      violated("a failover starts although " + name(from) + " is well");
  }
  for (const auto& action : actions) check_action(action);
}

void World::check_action(const Action& action) {
  if (const auto* sent = std::get_if<SendCommand>(&action)) {
    if (std::holds_alternative<Promote>(sent->command)) check_promote(*sent);
  }
  if (const auto* route = std::get_if<SetRoute>(&action)) {
    if (route->epoch.value < highest_epoch_ && route->epoch.value < highest_stored_epoch_)
      violated("the epoch goes back");
    highest_epoch_ = std::max(highest_epoch_, route->epoch.value);
    if (route->mode == RouteMode::open) check_open(*route);
  }
}

void World::check_promote(const SendCommand& sent) {
  const std::size_t i = index(sent.backend);
  const Change* change = core_->change();
  const std::uint64_t epoch = core_->cluster().epoch.value;
  if (change == nullptr) return violated(name(i) + " is promoted outside of a change");
  if (stored_.epoch.value != epoch || !stored_.change)
    violated(name(i) + " is promoted in an epoch that is not durable");
  if (!promoted_in_.empty() && promoted_in_.rbegin()->first >= epoch) violated("two promotions in one epoch");
  promoted_in_[epoch] = i;
  const auto& order = change->order();
  if (config_.backends[i].never_promote && !(order.forced && order.to == sent.backend))
    violated(name(i) + " is promoted and never should be");
  const bool planned = change->order().kind == Change::Kind::switchover;
  const bool nobody_routed =
      applied_.mode == RouteMode::closed || (planned && applied_.mode == RouteMode::draining);
  if (!nobody_routed || applied_.epoch.value != epoch)
    violated(name(i) + " is promoted before the route is closed");
  if (!planned && change->order().from && !change->order().forced) check_fenced(index(*change->order().from));
  if (!planned) return;
  const std::size_t from = index(*change->order().from);
  if (servers_[from].accepts_writes() && now() - ill_until_[from] > surely_known) {
    violated("a switchover promotes while the old primary accepts writes");
  }
}

void World::check_open(const SetRoute& route) {
  const std::size_t i = index(*route.backend);
  const Duration may_be_unknown = config_.monitor.interval + 2 * config_.monitor.timeout;
  const bool writable =
      servers_[i].accepts_writes() || (wrote_until_.contains(i) && now() - wrote_until_[i] < may_be_unknown);
  // A daemon that did not run cannot know yet.
  const bool just_woke = now() - std::max(stalled_until_, suspended_until_) < may_be_unknown;
  if (!writable && !just_woke) violated("the route opens to " + name(i) + ", which does not accept writes");
  const auto [opened, first] = opened_in_.emplace(route.epoch.value, i);
  if (!first && opened->second != i) {
    violated("epoch " + std::to_string(route.epoch.value) + " is opened to " + name(opened->second) +
             " and to " + name(i));
  }
  if (!promoted_in_.empty() && promoted_in_.rbegin()->first > route.epoch.value)
    violated("the route opens in an old epoch");
}

// --- texts
// ----------------------------------------------------------------------------------------------------

namespace {

std::string of(BackendId id) {
  return " db" + std::to_string(index(id) + 1);
}

struct EventText {
  std::string operator()(const ProbeSucceeded& e) const {
    const auto& r = e.report;
    std::string text = "probe ok" + of(e.backend) + (r.read_only ? " ro" : " RW");
    if (r.replica) {
      text += " from " + r.replica->source.host + " io=" + std::to_string(static_cast<int>(r.replica->io)) +
              " sql=" + std::to_string(r.replica->sql);
    }
    return text;
  }
  std::string operator()(const ProbeFailed& e) const {
    return "probe failed" + of(e.backend) + ": " + e.failure.text;
  }
  std::string operator()(const AgentHeard& e) const {
    const auto& w = e.word;
    std::string text = "agent" + of(e.backend) + ": mysqld " + to_string(w.mysqld);
    if (w.read_only) text += *w.read_only ? " ro" : " RW";
    if (w.lease_held) text += ", holds its lease";
    if (w.lease_lost) text += ", lost its lease";
    if (w.fenced > Epoch{}) text += ", fenced in epoch " + std::to_string(w.fenced.value);
    if (w.fence_failed) text += ", could not fence";
    return e.newest ? text : text + " (old news)";
  }
  std::string operator()(const TrafficSeen& e) const { return "traffic" + of(e.backend); }
  std::string operator()(const ReconnectChecked& e) const {
    return "reconnects" + of(e.backend) + " refused=" + std::to_string(e.refused_in_row) +
           (e.accepted ? " accepted" : "");
  }
  std::string operator()(const CommandFinished& e) const {
    return "command " + std::to_string(static_cast<std::uint64_t>(e.id)) + of(e.backend) + ": " +
           (e.result ? "done" : e.result.error().text);
  }
  std::string operator()(const RouteApplied& e) const { return "route applied " + std::to_string(e.token); }
  std::string operator()(const StateStored& e) const {
    return "stored " + std::to_string(e.version) + (e.result ? "" : ": " + e.result.error());
  }
  std::string operator()(const FenceCommandFinished& e) const {
    return "fence command ended" + of(e.backend);
  }
  std::string operator()(const TookBack& e) const {
    return "took back" + of(e.backend) + (e.result ? "" : ": " + e.result.error().text);
  }
  std::string operator()(const Tick&) const { return "tick"; }
  std::string operator()(const SwitchoverWanted&) const { return "operator: switchover"; }
  std::string operator()(const FailoverWanted&) const { return "operator: failover"; }
  std::string operator()(const RejoinWanted& e) const { return "operator: rejoin" + of(e.backend); }
  std::string operator()(const MaintenanceWanted& e) const { return "operator: maintenance" + of(e.backend); }
  std::string operator()(const AutomaticWanted& e) const {
    return std::string("operator: automatic ") + (e.on ? "on" : "off");
  }
  std::string operator()(const PauseWanted& e) const { return e.on ? "operator: pause" : "operator: resume"; }
  std::string operator()(const Reconfigured&) const { return "operator: reload"; }
};

struct ActionText {
  std::string operator()(const SendCommand& a) const {
    return "send " + std::to_string(static_cast<std::uint64_t>(a.id)) + of(a.backend) + " " +
           name_of(a.command);
  }
  std::string operator()(const AbortCommands& a) const { return "abort" + of(a.backend); }
  std::string operator()(const CheckReconnect& a) const { return "check reconnect" + of(a.backend); }
  std::string operator()(const ProbeNow& a) const { return "probe now" + of(a.backend); }
  std::string operator()(const SetRoute& a) const {
    return "route " + std::to_string(a.token) + " epoch " + std::to_string(a.epoch.value) + " " +
           to_string(a.mode) + (a.backend ? of(*a.backend) : "") + " (" + a.reason + ")";
  }
  std::string operator()(const StoreState& a) const {
    return "store " + std::to_string(a.version) + " epoch " + std::to_string(a.state.epoch.value) +
           " primary " + a.state.primary + (a.state.change ? " marked" : "");
  }
  std::string operator()(const RunFenceCommand& a) const { return "fence command" + of(a.backend); }
  std::string operator()(const TakeBack& a) const {
    return "take back" + of(a.backend) + " " + a.errant.to_string();
  }
  std::string operator()(const AbortTakeBack& a) const { return "abort take back" + of(a.backend); }
  std::string operator()(const Record& a) const {
    return "record " + a.record.kind + ": " + a.record.message;
  }
  std::string operator()(const Reply& a) const {
    return std::string("reply ") + (a.ok ? "ok: " : "no: ") + a.text;
  }
};

}  // namespace

// A probe that says what the last one said is no news.
void World::trace_event(const Event& event) {
  if (!options_.trace || std::holds_alternative<Tick>(event) || std::holds_alternative<TrafficSeen>(event))
    return;
  std::string text = text_of(event);
  // Neither is what an agent repeats.
  std::string* last = nullptr;
  if (const auto* ok = std::get_if<ProbeSucceeded>(&event)) last = &last_probe_[index(ok->backend)];
  if (const auto* failed = std::get_if<ProbeFailed>(&event)) last = &last_probe_[index(failed->backend)];
  if (const auto* heard = std::get_if<AgentHeard>(&event)) last = &last_word_[index(heard->backend)];
  if (last != nullptr && std::exchange(*last, text) == text) return;
  story("proxy", "<- " + text);
}

std::string text_of(const Event& event) {
  return std::visit(EventText{}, event);
}
std::string text_of(const Action& action) {
  return std::visit(ActionText{}, action);
}

}  // namespace pointsman::sim
