#include "tests/sim/world.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace pointsman::sim {

using namespace core;

namespace {

constexpr std::size_t longest_trace = 20000;
constexpr Duration condition_step = 1ms;

conf::Config make_config(const WorldOptions& options) {
  conf::Config config;
  for (std::size_t i = 0; i < options.servers; ++i) {
    conf::Backend backend;
    backend.name = "db" + std::to_string(i + 1);
    backend.address = {"192.0.2." + std::to_string(i + 1), 3306};
    for (const LinkKind link : options.links) {
      if (link == LinkKind::udp) backend.udp = {{backend.address.host, 694}};
      if (link == LinkKind::serial) backend.serial = "/dev/ttyS" + std::to_string(i);
    }
    config.backends.push_back(std::move(backend));
  }
  if (options.configure) options.configure(config);
  return config;
}

}  // namespace

World::World(WorldOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      config_(make_config(options_)),
      stored_(options_.stored) {
  for (std::size_t i = 0; i < options_.servers; ++i) {
    ModelServer& server = servers_.emplace_back(static_cast<unsigned>(i + 1), config_.backends[i]);
    for (std::uint64_t n = 1; n <= 10; ++n) server.log.add({1, n});
    server.started = now() - 1h;
    server.follow(config_.backends[0].address, config_.replication.semi_sync);
  }
  servers_[0].become_primary(config_.replication.semi_sync);
  if (options_.chained) {
    servers_[*options_.chained].follow(servers_[1].settings.address, conf::SemiSync::off);
    chained_.insert(*options_.chained);
  }
  if (options_.set) options_.set(servers_);
  for (auto& server : servers_) {
    if (server.replication) server.replication->events = 1;
  }
  highest_stored_epoch_ = highest_epoch_ = stored_.epoch.value;
  if (!options_.links.empty()) build_hosts();
  replication_tick();
  write();
  if (options_.direct_interval > 0s) write_beside();
  if (options_.start_daemon) start_daemon();
}

// --- time
// ---------------------------------------------------------------------------------------------------

void World::run_for(Duration duration) {
  const Instant end = now() + duration;
  while (time_.step(end)) check_writers();
}

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = now() + limit;
  while (!condition()) {
    if (now() >= end) return false;
    if (time_.step(std::min(end, now() + condition_step))) check_writers();
  }
  return true;
}

bool World::healthy() const {
  const auto primary = routed();
  if (!primary || !core_ || core_->change() != nullptr || !servers_[*primary].accepts_writes()) return false;
  for (std::size_t i = 0; i < size(); ++i) {
    const ModelServer& server = servers_[i];
    if (i == *primary || core_->cluster().servers[i].maintenance) continue;
    if (!server.answers() || !server.read_only || (source_of(i) != primary && !was_chained(i))) return false;
    if (!server.replication->connected || server.replication->sql_errno != 0) return false;
  }
  return true;
}

bool World::run_until_steady(Duration limit) {
  return run_until([this] { return core_ && core_->state() == State::steady && healthy(); }, limit);
}

// --- the servers
// ----------------------------------------------------------------------------------------------

void World::changing(std::size_t i) {
  if (servers_[i].accepts_writes()) wrote_until_[i] = now();
  if (!responsive(i) || servers_[i].sick) ill_until_[i] = now();
}

void World::crash(std::size_t i) {
  story("FAULT", name(i) + " crashes");
  changing(i);
  servers_[i].stop(ModelServer::Power::stopped);
  changing(i);
  standing_orders_.erase(i);
  connection_ends(i);
  if (has_agents()) agent(i).process_is_gone();
}

void World::freeze(std::size_t i) {
  story("FAULT", name(i) + " freezes");
  changing(i);
  if (servers_[i].power == ModelServer::Power::running) servers_[i].power = ModelServer::Power::frozen;
  changing(i);
}

void World::thaw(std::size_t i) {
  if (servers_[i].dying) return;
  story("FAULT", name(i) + " thaws");
  changing(i);
  if (servers_[i].power == ModelServer::Power::frozen) servers_[i].power = ModelServer::Power::running;
  if (has_agents()) {
    hosts_[i].awake_since = now();
    agent(i).server_thaws();
  }
  if (reachable(i)) answers_again(i);
}

void World::power_off(std::size_t i) {
  story("FAULT", name(i) + " loses power");
  changing(i);
  servers_[i].stop(ModelServer::Power::off);
  changing(i);
  standing_orders_.erase(i);
  if (!has_agents()) return;
  hosts_[i].booting = false;
  ++hosts_[i].boots;
  agent(i).kill();
}

void World::start(std::size_t i) {
  start(i, servers_[i].read_only_at_boot);
}

void World::start(std::size_t i, bool read_only) {
  if (servers_[i].dying) crash(i);
  if (has_agents() && servers_[i].power == ModelServer::Power::off) return boot_host(i, read_only);
  if (has_agents() && hosts_[i].booting) return;
  start_server(i, read_only);
}

void World::start_server(std::size_t i, bool read_only) {
  story("FAULT", name(i) + " starts " + (read_only ? "read-only" : "writable"));
  changing(i);
  servers_[i].start(now());
  servers_[i].read_only = read_only;
  changing(i);
  if (!has_agents()) return;
  hosts_[i].awake_since = now();
  hosts_[i].booted_writable = !read_only;
  hosts_[i].booted_alone = !agent(i).runs();
  agent(i).process_starts();
}

void World::write_directly(std::size_t i) {
  story("FAULT", "a direct write on " + name(i));
  servers_[i].commit();
  time_.after(options_.replication_time, [this, i] { replicate_from(i); });
}

void World::mend(std::size_t i) {
  story("FAULT", name(i) + " can be reached");
  changing(i);
  cut_.erase(i);
  if (servers_[i].answers()) answers_again(i);
}

void World::isolate() {
  story("FAULT", "the daemon's host is cut off");
  for (std::size_t i = 0; i < size(); ++i) {
    cut_.insert(i);
    changing(i);
  }
}

void World::mend_all() {
  for (std::size_t i = 0; i < size(); ++i) mend(i);
}

void World::chain(std::size_t i, std::size_t source) {
  const auto& before = servers_[i].replication;
  // Who throws away what a server received and had not applied may lose it.
  if (i == source || !servers_[i].answers() || servers_[i].accepts_writes()) return;
  if (before && !before->relay.empty()) return;
  story("FAULT", "somebody makes " + name(i) + " replicate from " + name(source));
  chained_.insert(i);
  servers_[i].follow(servers_[source].settings.address, conf::SemiSync::off);
  replicate(i);
}

// --- what fails
// -----------------------------------------------------------------------------------------------

void World::spoil(std::size_t i, std::string_view command, Mishap how, unsigned times) {
  spoils_[{i, std::string(command)}] = {how, times};
}

Mishap World::take_mishap(std::size_t i, std::string_view command) {
  const auto found = spoils_.find({i, std::string(command)});
  if (found == spoils_.end()) return Mishap::none;
  const Mishap how = found->second.how;
  if (--found->second.times == 0) spoils_.erase(found);
  return how;
}

// --- operators
// ------------------------------------------------------------------------------------------------

RequestId World::ask(const std::function<Event(RequestId)>& make) {
  const auto id = static_cast<RequestId>(++last_request_);
  deliver(make(id));
  return id;
}

namespace {

std::optional<BackendId> id_of(std::optional<std::size_t> i) {
  return i ? std::optional(static_cast<BackendId>(*i)) : std::nullopt;
}

}  // namespace

RequestId World::switchover(std::optional<std::size_t> to, bool dry_run) {
  return switchover(SwitchoverWanted{{}, id_of(to), dry_run});
}
RequestId World::switchover(SwitchoverWanted wish) {
  return ask([&](RequestId id) {
    wish.id = id;
    return wish;
  });
}
RequestId World::failover(std::optional<std::size_t> to, bool force) {
  return ask([&](RequestId id) { return FailoverWanted{id, id_of(to), force}; });
}
RequestId World::rejoin(std::size_t i, bool discard) {
  return ask([&](RequestId id) { return RejoinWanted{id, static_cast<BackendId>(i), discard}; });
}
RequestId World::maintenance(std::size_t i, bool on) {
  return ask([&](RequestId id) { return MaintenanceWanted{id, static_cast<BackendId>(i), on}; });
}
RequestId World::automatic(bool on) {
  return ask([&](RequestId id) { return AutomaticWanted{id, on}; });
}
RequestId World::pause(bool on) {
  return ask([&](RequestId id) { return PauseWanted{id, on}; });
}
void World::reconfigure(const std::function<void(conf::Config&)>& change) {
  change(config_);
  deliver(Reconfigured{config_});
}

const Reply* World::answer(RequestId id) const {
  const auto found = replies_.find(id);
  return found != replies_.end() ? &found->second : nullptr;
}

bool World::run_until_answered(RequestId id, Duration limit) {
  return run_until([&] { return answer(id) != nullptr; }, limit);
}

// --- what was seen
// --------------------------------------------------------------------------------------------

std::vector<HistoryRecord> World::records(std::string_view kind) const {
  std::vector<HistoryRecord> some;
  std::ranges::copy_if(records_, std::back_inserter(some),
                       [&](const auto& record) { return record.kind == kind; });
  return some;
}

std::size_t World::commands_sent(std::size_t i, std::string_view command) const {
  return static_cast<std::size_t>(std::ranges::count_if(actions_, [&](const Action& action) {
    const auto* sent = std::get_if<SendCommand>(&action);
    return sent != nullptr && index(sent->backend) == i && name_of(sent->command) == command;
  }));
}

std::size_t World::routes_set() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      actions_, [](const Action& action) { return std::holds_alternative<SetRoute>(action); }));
}

std::optional<std::size_t> World::routed() const {
  if (applied_.mode != RouteMode::open || !applied_.backend) return std::nullopt;
  return index(*applied_.backend);
}

std::vector<Transaction> World::missing_on(std::size_t i, const std::vector<Transaction>& wanted) const {
  std::vector<Transaction> missing;
  std::ranges::copy_if(wanted, std::back_inserter(missing),
                       [&](const auto& t) { return !servers_[i].log.has(t); });
  return missing;
}

void World::story(std::string_view who, std::string what) {
  if (!options_.trace) return;
  const Duration passed = now().time_since_epoch() - 1h;
  std::array<char, 32> when{};
  std::snprintf(when.data(), when.size(), "%12.3f ms  ", to_ms_exact(passed));
  std::string line = when.data();
  line += who;
  line.append(who.size() < 6 ? 6 - who.size() : 1, ' ');
  line += what;
  trace_.push_back(std::move(line));
  if (trace_.size() > longest_trace) trace_.pop_front();
}

}  // namespace pointsman::sim
