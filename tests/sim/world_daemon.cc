// The daemon around the core: what proxy/ and health/mysql do, in virtual time.
#include <algorithm>
#include <utility>

#include "conf/event_kinds.h"
#include "tests/sim/world.h"

namespace pointsman::sim {

using namespace core;

namespace {

constexpr Duration statement_timeout = 10s;
constexpr Duration refusal_time = 100us;
constexpr Duration notice_time = 50us;  // from the end of a process to the news on its connections
constexpr Duration look_again = 5ms;
constexpr Duration forget_time = 50ms;
constexpr Duration shortest_timer = 100us;  // real time never stands still
constexpr unsigned most_idle_ticks = 200;

Failure failure(FailureKind kind, const std::string& text) {
  return {kind, 0, text};
}

}  // namespace

// --- life
// -----------------------------------------------------------------------------------------------------

void World::daemon_after(Duration delay, std::function<void()> what) {
  time_.after(delay, [this, life = life_, what = std::move(what)] {
    if (life != life_) return;
    if (now() < suspended_until_) return daemon_after(suspended_until_ - now(), what);
    what();
  });
}

void World::start_daemon(std::optional<BackendId> served) {
  story("FAULT", "the daemon starts");
  ++life_;
  probers_.assign(size(), {});
  commanders_.assign(size(), {});
  inbox_.clear();
  storing_ = false;
  to_store_.reset();
  wanted_route_ = applied_ = {};
  core_ = std::make_unique<Controller>(config_, stored_, now());
  meet_agents();
  perform(core_->begin(served));
  step(Tick{});
  for (std::size_t i = 0; i < size(); ++i) daemon_after(1us * (i + 1), [this, i] { probe(i); });
}

void World::kill_daemon() {
  story("FAULT", "the daemon is killed");
  // An order to follow is several statements: the server may be left with a source that it does not replicate
  // from.
  for (std::size_t i = 0; i < commanders_.size(); ++i) {
    const auto& running = commanders_[i].running;
    const auto* follow = running ? std::get_if<Follow>(&running->command) : nullptr;
    if (follow == nullptr || !responsive(i) || servers_[i].sick || !random_.one_in(2)) continue;
    changing(i);
    const bool source = servers_[i].semi_sync_source;
    servers_[i].follow(follow->source, follow->semi_sync);
    servers_[i].stop_replication();
    servers_[i].semi_sync_source = source;  // given up last of all
    changing(i);
    story(name(i), std::string("did half of ") + name_of(running->command));
  }
  ++life_;
  core_.reset();
  applied_ = {};
  // Without agents an epoch is known outside only by what is stored.
  std::erase_if(opened_in_, [this](const auto& opened) { return opened.first > stored_.epoch.value; });
}

void World::take_over_daemon() {
  const bool ordered =
      std::ranges::any_of(commanders_, [](const auto& commander) { return commander.running.has_value(); });
  const bool routing = wanted_route_.token != applied_.token;
  if (!core_ || core_->change() || core_->preparation() || ordered || storing_ || routing) return;
  story("FAULT", "another daemon takes over");
  const bool open = applied_.mode == RouteMode::open;
  const auto served = open ? applied_.backend : std::nullopt;
  kill_daemon();
  start_daemon(served);
}

void World::stall_daemon(Duration how_long) {
  if (!core_) return;
  story("FAULT", "the daemon's loop stalls");
  stalled_until_ = now() + how_long;
  daemon_after(how_long, [this] {
    auto waiting = std::exchange(inbox_, {});
    step(Tick{});
    for (const auto& event : waiting) step(event);
    for (const auto& hear : std::exchange(frames_waiting_, {})) hear();
  });
}

void World::suspend_daemon(Duration how_long) {
  if (!core_) return;
  story("FAULT", "the daemon is suspended");
  suspended_until_ = now() + how_long;
}

void World::tell(const Event& event) {
  deliver(event);
}

void World::deliver(Event event) {
  if (!core_) return;
  if (now() < stalled_until_) {
    inbox_.push_back(std::move(event));
  } else {
    step(event);
  }
}

void World::step(const Event& event) {
  if (std::holds_alternative<ProbeFailed>(event) || std::holds_alternative<Tick>(event)) feed_traffic();
  step_once(event);
  if (core_) tell_agents();
  arm();
}

void World::feed_traffic() {
  for (const auto& [i, last] : traffic_) {
    if (last <= traffic_told_[i]) continue;
    traffic_told_[i] = last;
    step_once(TrafficSeen{static_cast<BackendId>(i), last});
  }
}

void World::step_once(const Event& event) {
  const bool changing_before = core_->change() != nullptr;
  trace_event(event);
  const auto* answered = std::get_if<ProbeSucceeded>(&event);
  if (answered != nullptr && has_agents()) hosts_[index(answered->backend)].answered_at = answered->finished;
  const Actions actions = core_->step(event, now());
  if (options_.trace) {
    for (const auto& action : actions) story("proxy", text_of(action));
  }
  check(event, actions, changing_before);
  if (on_step) on_step(event, actions);
  if (core_) perform(actions);
}

void World::arm() {
  if (!core_) return;
  idle_ticks_ = core_->next_deadline() <= now() ? idle_ticks_ + 1 : 0;
  if (idle_ticks_ > most_idle_ticks) violated("the core wants to be called again and again at once");
  const Instant when = std::max(core_->next_deadline(), now() + shortest_timer);
  daemon_after(when - now(), [this, alarm = ++alarm_] {
    if (alarm != alarm_ || now() < stalled_until_) return;
    step(Tick{});
  });
}

void World::perform(const Actions& actions) {
  for (const auto& action : actions) {
    actions_.push_back(action);
    std::visit([this](const auto& a) { do_action(a); }, action);
  }
}

// --- probes
// ---------------------------------------------------------------------------------------------------

void World::do_action(const ProbeNow& action) {
  const std::size_t i = index(action.backend);
  if (probers_[i].busy) {
    probers_[i].again = true;
  } else {
    daemon_after(0us, [this, i] { probe(i); });
  }
}

void World::probe(std::size_t i) {
  Prober& prober = probers_[i];
  if (prober.busy) return;
  prober.busy = true;
  prober.asked = prober.again = false;
  prober.started = now();
  const std::uint64_t serial = ++prober.serial;
  if (reachable(i) && servers_[i].power == ModelServer::Power::stopped) {
    return daemon_after(refusal_time, [this, i, serial] {
      probe_ends(i, serial, std::nullopt,
                 failure(FailureKind::refused, "connect to " + name(i) + ": connection refused"));
    });
  }
  daemon_after(config_.monitor.timeout, [this, i, serial] {
    probe_ends(i, serial, std::nullopt,
               failure(FailureKind::timeout, "probe of " + name(i) + ": no answer in time"));
  });
  const Duration way = probe_time_.contains(i) ? probe_time_[i] / 2 : options_.probe_time / 2;
  daemon_after(way, [this, i, serial] { probe_reaches(i, serial); });
}

void World::probe_reaches(std::size_t i, std::uint64_t serial) {
  Prober& prober = probers_[i];
  if (!prober.busy || prober.serial != serial || prober.asked || !responsive(i)) return;
  prober.asked = true;
  const Duration way = probe_time_.contains(i) ? probe_time_[i] / 2 : options_.probe_time / 2;
  if (const auto& sick = servers_[i].sick) {
    return daemon_after(way, [this, i, serial, what = *sick] { probe_ends(i, serial, std::nullopt, what); });
  }
  daemon_after(way, [this, i, serial, seen = report(i)] {
    if (reachable(i)) probe_ends(i, serial, seen, {});
  });
}

void World::probe_ends(std::size_t i, std::uint64_t serial, std::optional<ServerReport> seen, Failure what) {
  Prober& prober = probers_[i];
  if (!prober.busy || prober.serial != serial) return;
  prober.busy = false;
  prober.connected = seen.has_value();
  const Instant next = prober.again ? now() : std::max(now(), prober.started + config_.monitor.interval);
  daemon_after(next - now(), [this, i] { probe(i); });
  const auto id = static_cast<BackendId>(i);
  if (seen) {
    deliver(ProbeSucceeded{id, std::move(*seen), prober.started, now()});
  } else {
    deliver(ProbeFailed{id, std::move(what), now()});
  }
}

// The process is gone: its connections end, those of the prober and of the commander alike.
void World::connection_ends(std::size_t i) {
  if (!core_ || !reachable(i)) return;
  daemon_after(notice_time, [this, i] {
    Prober& prober = probers_[i];
    if (prober.connected || prober.busy) {
      ++prober.serial;
      prober.busy = prober.connected = false;
      deliver(ProbeFailed{static_cast<BackendId>(i),
                          failure(FailureKind::lost, "connection to " + name(i) + " ended"), now()});
      if (core_) probe(i);
    }
    const Commander& commander = commanders_[i];
    if (commander.running && servers_[i].power == ModelServer::Power::stopped) {
      command_ends(i, commander.serial, failure(FailureKind::lost, "connection to " + name(i) + " ended"));
    }
  });
}

void World::do_action(const CheckReconnect& action) {
  daemon_after(refusal_time, [this, action] { check_reconnect(index(action.backend), action.attempts, 0); });
}

void World::check_reconnect(std::size_t i, unsigned left, unsigned refused) {
  const auto id = static_cast<BackendId>(i);
  if (!reachable(i) || servers_[i].power == ModelServer::Power::off) {
    return daemon_after(config_.proxy.connect_timeout,
                        [this, id, refused] { deliver(ReconnectChecked{id, refused, false}); });
  }
  // The kernel accepts for a frozen process, too.
  if (servers_[i].power != ModelServer::Power::stopped) return deliver(ReconnectChecked{id, refused, true});
  if (left <= 1) return deliver(ReconnectChecked{id, refused + 1, false});
  daemon_after(refusal_time, [this, i, left, refused] { check_reconnect(i, left - 1, refused + 1); });
}

// --- commands
// -------------------------------------------------------------------------------------------------

void World::do_action(const SendCommand& action) {
  const std::size_t i = index(action.backend);
  commanders_[i].queue.push_back(action);
  daemon_after(0us, [this, i] { next_command(i); });
}

void World::next_command(std::size_t i) {
  Commander& commander = commanders_[i];
  if (commander.running || commander.queue.empty()) return;
  commander.running = std::move(commander.queue.front());
  commander.queue.pop_front();
  commander.started = now();
  commander.mishap = take_mishap(i, name_of(commander.running->command));
  const std::uint64_t serial = ++commander.serial;
  if (reachable(i) && servers_[i].power == ModelServer::Power::stopped) {
    return daemon_after(refusal_time, [this, i, serial] {
      command_ends(i, serial,
                   failure(FailureKind::refused, "connect to " + name(i) + ": connection refused"));
    });
  }
  if (!std::holds_alternative<WaitApplied>(commander.running->command)) {
    daemon_after(statement_timeout, [this, i, serial] {
      command_ends(i, serial, failure(FailureKind::timeout, "command on " + name(i) + ": no answer in time"));
    });
  }
  daemon_after(options_.command_time / 2, [this, i, serial] { command_takes_effect(i, serial); });
}

void World::command_takes_effect(std::size_t i, std::uint64_t serial) {
  Commander& commander = commanders_[i];
  if (!commander.running || commander.serial != serial || commander.mishap == Mishap::hangs) return;
  if (servers_[i].power == ModelServer::Power::off) return;
  if (!responsive(i)) {
    standing_orders_[i].push_back({commander.running->command, serial});
    return;
  }
  std::optional<Failure> error;
  if (const auto& sick = servers_[i].sick) {
    error = *sick;
  } else if (commander.mishap == Mishap::refused) {
    error = Failure{FailureKind::server_error, 1105, "command on " + name(i) + ": model error"};
  } else if (commander.mishap == Mishap::half) {
    if (std::holds_alternative<Promote>(commander.running->command)) servers_[i].replication.reset();
    if (const auto* follow = std::get_if<Follow>(&commander.running->command)) {
      servers_[i].follow(follow->source, follow->semi_sync);
      servers_[i].stop_replication();
    }
    error = Failure{FailureKind::server_error, 1105, "command on " + name(i) + ": model error half-way"};
  } else {
    changing(i);
    if (!apply(i, commander.running->command, error)) {
      return daemon_after(look_again, [this, i, serial] { command_takes_effect(i, serial); });
    }
    changing(i);
    story(name(i), std::string("did ") + name_of(commander.running->command));
  }
  if (commander.mishap == Mishap::deaf)
    error = failure(FailureKind::lost, "command on " + name(i) + ": connection ended");
  daemon_after(options_.command_time / 2, [this, i, serial, error] { command_ends(i, serial, error); });
}

bool World::apply(std::size_t i, const Command& command, std::optional<Failure>& error) {
  ModelServer& server = servers_[i];
  const Duration spent = now() - commanders_[i].started;
  if (std::holds_alternative<StopReceiving>(command)) {
    replicate(i);
    server.stop_receiving();
  } else if (std::holds_alternative<ResumeReceiving>(command)) {
    server.resume_receiving();
    replicate(i);
  } else if (std::holds_alternative<StartApplier>(command)) {
    if (server.replication && server.replication->connected) server.start_applier();
    schedule_apply(i);
  } else if (const auto* wait = std::get_if<WaitApplied>(&command)) {
    if (server.log.set().contains(wait->target)) return true;
    schedule_apply(i);
    const bool never =
        !server.replication || server.replication->sql_errno != 0 || !server.replication->applier_wanted;
    if (!never && spent < wait->timeout) return false;
    error = failure(never ? FailureKind::server_error : FailureKind::timeout, name(i) + ": not applied");
  } else if (const auto* promote = std::get_if<Promote>(&command)) {
    if (server.replication && !server.replication->relay.empty() && server.replication->sql_errno == 0) {
      violated(name(i) + " is promoted and forgets what it received and had not applied");
    }
    server.become_primary(promote->semi_sync);
    if (server.forgets_late) {
      // By the daemon, so never if that dies first.
      daemon_after(forget_time, [this, i] {
        if (servers_[i].accepts_writes()) servers_[i].replication.reset();
      });
    }
  } else if (const auto* read_only = std::get_if<MakeReadOnly>(&command)) {
    if (!server.waiting.empty() && read_only->end_clients) server.waiting.clear();
    if (!server.waiting.empty() && spent < read_only->timeout) return false;
    if (!server.waiting.empty()) {
      error = failure(FailureKind::timeout, name(i) + ": a commit holds it up; still writable");
    } else {
      server.make_read_only();
    }
    if (read_only->stop_events && server.scheduler_settable) server.event_scheduler = false;
  } else if (const auto* writable = std::get_if<MakeWritable>(&command)) {
    server.make_writable(writable->semi_sync);
    replicate_from(i);
  } else if (const auto* role = std::get_if<SetSemiSyncSource>(&command)) {
    server.set_semi_sync_source(role->semi_sync, role->replica_there);
    replicate_from(i);
  } else if (const auto* follow = std::get_if<Follow>(&command)) {
    server.follow(follow->source, follow->semi_sync);
    replicate(i);
  } else if (std::holds_alternative<EndReplication>(command)) {
    server.replication.reset();
  } else if (const auto* end = std::get_if<EndOccupants>(&command)) {
    std::erase_if(server.occupants, [end](const Occupant& occupant) {
      return std::ranges::find(end->threads, occupant.thread) != end->threads.end();
    });
  } else if (const auto* events = std::get_if<EnableEvents>(&command)) {
    enable_events(i, events->scheduler);
  }
  return true;
}

// What enables them here disables them on the replicas.
void World::enable_events(std::size_t i, bool scheduler) {
  if (servers_[i].replication && !servers_[i].replication->receiver_wanted) servers_[i].replication.reset();
  const bool any = std::ranges::any_of(servers_, &ModelServer::events_exist);
  for (auto& server : servers_) server.events_enabled = any && &server == &servers_[i];
  if (scheduler && servers_[i].scheduler_settable) servers_[i].event_scheduler = true;
}

void World::command_ends(std::size_t i, std::uint64_t serial, std::optional<Failure> error) {
  Commander& commander = commanders_[i];
  if (!commander.running || commander.serial != serial) return;
  if (!error && !responsive(i)) return;  // the answer does not come through; a timeout follows
  const SendCommand sent = *std::exchange(commander.running, std::nullopt);
  ++commander.serial;
  CommandResult result = error ? CommandResult(std::unexpected(*error)) : CommandResult(report(i));
  if (result && std::holds_alternative<Survey>(sent.command)) result->survey = servers_[i].survey();
  if (result && std::holds_alternative<Promote>(sent.command)) {
    result->replica.reset();
    result->sources = 0;
  }
  daemon_after(0us, [this, i] { next_command(i); });
  deliver(CommandFinished{sent.id, sent.backend, std::move(result), commander.started});
}

void World::do_action(const AbortCommands& action) {
  const std::size_t i = index(action.backend);
  Commander& commander = commanders_[i];
  std::vector<SendCommand> aborted(commander.queue.begin(), commander.queue.end());
  if (commander.running) aborted.insert(aborted.begin(), *commander.running);
  commander.running.reset();
  commander.queue.clear();
  ++commander.serial;
  for (const auto& command : aborted) {
    daemon_after(notice_time, [this, command] {
      deliver(CommandFinished{command.id, command.backend,
                              std::unexpected(failure(FailureKind::timeout, "aborted")), now()});
    });
  }
}

void World::answers_again(std::size_t i) {
  auto orders = std::move(standing_orders_[i]);
  standing_orders_.erase(i);
  for (const auto& order : orders) {
    if (core_ && commanders_[i].running && commanders_[i].serial == order.serial) {
      command_takes_effect(i, order.serial);
      continue;
    }
    // Nobody waits for it any more, but its first statement was sent.
    changing(i);
    if (std::holds_alternative<MakeReadOnly>(order.command)) servers_[i].make_read_only();
    if (std::holds_alternative<Promote>(order.command)) servers_[i].stop_replication();
    if (const auto* writable = std::get_if<MakeWritable>(&order.command))
      servers_[i].make_writable(writable->semi_sync);
    changing(i);
    story(name(i), std::string("did, late, ") + name_of(order.command));
  }
  if (core_ && probers_[i].busy) probe_reaches(i, probers_[i].serial);
}

// --- the rest
// -------------------------------------------------------------------------------------------------

void World::do_action(const SetRoute& action) {
  wanted_route_ = action;
  if (routes_held_) return;
  daemon_after(options_.route_time, [this, action] {
    if (action.token > applied_.token) applied_ = action;
    deliver(RouteApplied{action.token});
  });
}

void World::do_action(const StoreState& action) {
  to_store_ = action;
  store_next();
}

void World::store_next() {
  if (storing_ || !to_store_ || store_held_) return;
  storing_ = true;
  daemon_after(options_.store_time, [this, job = *std::exchange(to_store_, std::nullopt)] {
    storing_ = false;
    const std::string error = store_error_;
    if (error.empty()) {
      if (job.state.epoch.value < highest_stored_epoch_) violated("a lower epoch is stored");
      highest_stored_epoch_ = job.state.epoch.value;
      stored_ = job.state;
      deliver(StateStored{job.version, {}});
    } else {
      deliver(StateStored{job.version, std::unexpected(error)});
    }
    store_next();
  });
}

void World::do_action(const RunFenceCommand& action) {
  daemon_after(100ms, [this, action] {
    const std::size_t i = index(action.backend);
    if (!fence_command_fails_) power_off(i);
    deliver(FenceCommandFinished{action.backend, fence_command_fails_ ? std::expected<void, std::string>(
                                                                            std::unexpected("exit status 1"))
                                                                      : std::expected<void, std::string>()});
  });
}

// Half a second's work, which a server that goes away ends.
void World::do_action(const TakeBack& action) {
  const std::size_t i = index(action.backend);
  taking_back_[i] = action.id;
  daemon_after(500ms, [this, action, i] {
    const auto running = taking_back_.find(i);
    if (running == taking_back_.end() || running->second != action.id) return;
    taking_back_.erase(running);
    deliver(TookBack{action.id, action.backend, take_back(i, action)});
  });
}

std::expected<TookBack::Report, Failure> World::take_back(std::size_t i, const TakeBack& action) {
  ModelServer& server = servers_[i];
  const std::size_t source = index(action.source);
  if (!responsive(i) || !responsive(source))
    return std::unexpected(failure(FailureKind::timeout, "take back on " + name(i) + ": no answer"));
  if (server.accepts_writes())
    return std::unexpected(failure(FailureKind::unsupported, name(i) + " accepts writes"));
  server.stop_replication();
  const bool promised = std::ranges::any_of(
      acknowledged_, [&](const Transaction& t) { return server.log.has(t) && !servers_[source].log.has(t); });
  if (!server.take_back(servers_[source].log, action.reign))
    return std::unexpected(failure(FailureKind::unsupported, name(i) + " was written to since its start"));
  if (promised && !discards_allowed_)
    violated("an acknowledged transaction of " + name(i) + " is thrown away");
  server.copied = action.errant.empty();
  story(name(i), server.copied ? "was given other data" : "its own transactions were taken back");
  return TookBack::Report{report(i), now(), "/rescue", "undone by the model"};
}

void World::do_action(const AbortTakeBack& action) {
  taking_back_.erase(index(action.backend));
}

void World::do_action(const Record& action) {
  const std::string& kind = action.record.kind;
  if (kind != "step" && std::ranges::find(conf::event_kinds, kind) == conf::event_kinds.end())
    violated("an event of the unknown kind " + kind);
  records_.push_back(action.record);
}

void World::do_action(const Reply& action) {
  if (!replies_.emplace(action.id, action).second) violated("a request is answered twice");
}

}  // namespace pointsman::sim
