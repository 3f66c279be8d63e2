#include "tests/sim/trial.h"

#include <algorithm>

#include "tests/sim/scenario.h"

namespace pointsman::sim {

using namespace core;

namespace {

constexpr Duration healing_limit = 90s;

// Three and more servers: who takes over is not only a question of what was received.
void rank_servers(Random& random, WorldOptions& options) {
  const std::size_t servers = options.servers;
  std::vector<unsigned> priorities(servers, conf::Backend{}.priority);
  if (random.one_in(3)) {
    for (auto& priority : priorities) priority = static_cast<unsigned>(50 * random.between(1, 3));
  }
  const bool spares_one = servers > 2 && random.one_in(4);
  const std::size_t spared = random.below(servers);
  const bool moves_up = random.one_in(4);
  const bool chained = servers > 2 && random.one_in(4);
  options.configure = [=, otherwise = options.configure](conf::Config& config) {
    otherwise(config);
    for (std::size_t i = 0; i < servers; ++i) config.backends[i].priority = priorities[i];
    config.backends[spared].never_promote = spares_one;
    config.replication.chained = moves_up ? conf::Chained::move_up : conf::Chained::keep;
  };
  if (chained) options.chained = servers - 1;
}

WorldOptions without_agents(std::uint64_t seed, bool trace) {
  Random random(seed * 2 + 1);
  WorldOptions options;
  options.seed = seed;
  options.trace = trace;
  options.servers = random.between(2, 4);
  options.probe_time = 1us * random.between(200, 20000);
  options.command_time = 1us * random.between(500, 40000);
  options.route_time = 1us * random.between(50, 20000);
  options.store_time = 1us * random.between(500, 50000);
  options.replication_time = 1us * random.between(200, 20000);
  options.apply_time = 1us * random.between(50, 5000);
  options.write_interval = 1us * random.between(5000, 100000);
  const auto semi_sync = static_cast<conf::SemiSync>(random.below(3));
  const bool failback = random.one_in(5);
  options.configure = [=](conf::Config& config) {
    config.replication.semi_sync = semi_sync;
    config.failover.failback = failback;
    config.failover.max_in_window = 1000;
    config.failover.catchup_timeout = 5s;
  };
  const bool read_only_at_boot = !random.one_in(4);
  // Only where nothing is acknowledged without a replica; and a server that is writable at once would go on
  // from there.
  const bool sheds = semi_sync == conf::SemiSync::required && read_only_at_boot && random.one_in(2);
  const bool forgets_late = random.one_in(2);
  const bool kills_applier = random.one_in(2);
  options.set = [=](std::vector<ModelServer>& servers) {
    for (auto& server : servers) {
      server.read_only_at_boot = read_only_at_boot;
      server.sheds = sheds;
      server.forgets_late = forgets_late;
      server.kills_applier = kills_applier;
    }
  };
  rank_servers(random, options);
  return options;
}

WorldOptions with_agents(std::uint64_t seed, bool story) {
  Random random(seed * 2 + 1);
  WorldOptions options;
  options.seed = seed;
  options.trace = story;
  options.servers = random.one_in(4) ? 3 : 2;
  options.links = random.one_in(6)   ? std::vector{LinkKind::udp}
                  : random.one_in(6) ? std::vector{LinkKind::serial}
                                     : std::vector{LinkKind::udp, LinkKind::serial};
  options.probe_time = 1us * random.between(200, 20000);
  options.command_time = 1us * random.between(500, 40000);
  options.route_time = 1us * random.between(50, 20000);
  options.store_time = 1us * random.between(500, 50000);
  options.replication_time = 1us * random.between(200, 20000);
  options.apply_time = 1us * random.between(50, 5000);
  options.write_interval = 1us * random.between(20000, 100000);
  options.direct_interval = 1us * random.between(20000, 200000);
  options.udp_time = 1us * random.between(50, 5000);
  options.serial_time = 1us * random.between(40000, 60000);
  options.agent_probe_time = 1us * random.between(200, 10000);
  // LeaseBound::reaction is for this.
  options.agent_order_time = 1us * random.between(500, 120000);
  options.kill_hung = !random.one_in(5);
  options.kill_clients = !random.one_in(5);
  const auto semi_sync = static_cast<conf::SemiSync>(random.below(3));
  const bool failback = random.one_in(8);
  const bool kill_hung = !random.one_in(5);
  const auto scale = static_cast<int>(random.between(2, 4));
  const bool leases = !random.one_in(12);
  const bool read_only_at_boot = !random.one_in(6);
  const bool sheds = semi_sync == conf::SemiSync::required && read_only_at_boot && random.one_in(2);
  // The longest that a configuration may have: then a promotion waits for it.
  const auto lease = random.one_in(4) ? 450ms : 400ms;
  options.configure = [=](conf::Config& config) {
    config.replication.semi_sync = semi_sync;
    config.heartbeat.keepalive = 50ms * scale;
    config.heartbeat.warntime = 200ms * scale;
    config.heartbeat.deadtime = 500ms * scale;
    config.heartbeat.lease = leases ? lease * scale : 0ms;
    config.fence.kill_hung = kill_hung;
    config.failover.failback = failback;
    config.failover.max_in_window = 1000;
    config.failover.catchup_timeout = 5s;
  };
  const bool forgets_late = random.one_in(2);
  const bool kills_applier = random.one_in(2);
  options.set = [=](std::vector<ModelServer>& servers) {
    for (auto& server : servers) {
      server.read_only_at_boot = read_only_at_boot;
      server.sheds = sheds;
      server.forgets_late = forgets_late;
      server.kills_applier = kills_applier;
    }
  };
  rank_servers(random, options);
  return options;
}

}  // namespace

Trial::Trial(Kind kind, std::uint64_t seed, bool story)
    : kind_(kind),
      world_(kind == Kind::with_agents ? with_agents(seed, story) : without_agents(seed, story)),
      random_(seed) {}

void Trial::run() {
  const bool agents = kind_ == Kind::with_agents;
  world_.run_for(agents ? 1s : 2s);
  const auto faults = random_.between(1, agents ? 9 : 14);
  for (std::uint64_t i = 0; i < faults; ++i) {
    agents ? do_harm_to_hosts() : do_harm();
    world_.run_for(1us * pause());
  }
  heal();
  served_by_itself = world_.run_until([this] { return serves(); }, healing_limit);
  if (!served_by_itself) {
    for (int i = 0; i < 3 && !serves(); ++i) act_as_operator();
  }
  if (!serves()) problems.push_back("not serviceable after the faults were healed: " + describe());
  check_loss();
  for (const auto& violation : world_.violations()) problems.push_back(violation);
}

std::uint64_t Trial::pause() {
  switch (random_.below(4)) {
    case 0:
      return random_.between(0, 3000);
    case 1:
      return random_.between(0, 100'000);
    case 2:
      return random_.between(0, 1'500'000);
    default:
      return random_.between(0, kind_ == Kind::with_agents ? 3'000'000 : 6'000'000);
  }
}

void Trial::do_harm() {
  const std::size_t i = any();
  ModelServer& server = world_.server(i);
  const bool runs = server.power == ModelServer::Power::running;
  switch (random_.below(17)) {
    case 0:
    case 1:
    case 2:
      if (runs) return world_.crash(i);
      if (server.power == ModelServer::Power::frozen) return world_.thaw(i);
      return world_.start(i);
    case 3:
    case 4:
      return runs                                         ? world_.freeze(i)
             : server.power == ModelServer::Power::frozen ? world_.thaw(i)
                                                          : world_.start(i);
    case 5:
      return runs ? world_.power_off(i) : void();
    case 6:
      return random_.one_in(2) ? world_.cut(i) : world_.mend(i);
    case 7:
      return random_.one_in(3) ? world_.isolate() : world_.mend_all();
    case 8:
      return spoil(i);
    case 9:
      return world_.spoil_store(random_.one_in(2) ? "No space left on device" : "");
    case 10:
    case 11:
      if (!world_.daemon_runs()) return world_.start_daemon();
      return world_.kill_daemon();
    case 12:
      return random_.one_in(2) ? world_.stall_daemon(1ms * random_.below(3000))
                               : world_.suspend_daemon(1ms * random_.below(3000));
    case 13:
      return random_.one_in(2) ? world_.cut_replication(i) : world_.mend_replication(i);
    case 14:
      if (random_.one_in(3)) return server.interrupt_applier();
      return world_.stop_applying(i, random_.one_in(2));
    default:
      return operate(i);
  }
}

void Trial::do_harm_to_hosts() {
  const std::size_t i = any();
  switch (random_.below(16)) {
    case 0:
    case 1:
    case 2:
      return harm_server(i);
    case 3:
    case 4:
      return random_.one_in(3) ? world_.mend_eth0(i) : world_.cut_eth0(i);
    case 5:
    case 6:
      return harm_links(i);
    case 7:  // the host, as seen from the proxy
      world_.cut_eth0(i);
      return world_.cut_link(i, LinkKind::serial, true, true);
    case 8:
    case 9:
      return harm_agent(i);
    case 10:
      if (random_.one_in(2)) {
        world_.mend_all();
        return world_.mend_links();
      }
      return world_.isolate_proxy(random_.one_in(2));
    case 11:
    case 12:
      return harm_daemon();
    case 13:
      if (random_.one_in(5)) return world_.server(i).interrupt_applier();
      return random_.one_in(2) ? world_.cut_replication(i) : world_.mend_replication(i);
    case 14:
      return spoil(i);
    default:
      return operate(i);
  }
}

void Trial::harm_server(std::size_t i) {
  const ModelServer& server = world_.server(i);
  if (server.power == ModelServer::Power::frozen) return world_.thaw(i);
  if (!server.answers()) return world_.start(i);
  switch (random_.below(4)) {
    case 0:
      return world_.crash(i);
    case 1:
      return world_.die_slowly(i, 1ms * random_.between(1, 2000));
    case 2:
      return world_.freeze(i);
    default:
      return world_.host_dies(i);
  }
}

void Trial::harm_links(std::size_t i) {
  const LinkKind link = random_.one_in(2) ? LinkKind::udp : LinkKind::serial;
  switch (random_.below(4)) {
    case 0:
      return world_.cut_link(i, link, true, true);
    case 1:
      return world_.cut_link(i, link, random_.one_in(2), random_.one_in(2));
    case 2:
      return world_.cut_link(i, link, false, false);
    default: {
      const auto some = [this] { return static_cast<unsigned>(random_.one_in(2) ? 0 : random_.below(600)); };
      world_.disturb_link(i, link,
                          {.lost = some(),
                           .doubled = some(),
                           .damaged = some(),
                           .late = some(),
                           .latest = 1ms * random_.between(1, 2000)});
    }
  }
}

void Trial::harm_agent(std::size_t i) {
  if (!world_.agent(i).runs()) return world_.start_agent(i);
  if (random_.one_in(2)) return world_.agent(i).kill();
  world_.agent(i).stall(1ms * random_.below(3000));
}

void Trial::harm_daemon() {
  if (!world_.daemon_runs()) return world_.start_daemon();
  switch (random_.below(5)) {
    case 0:
      return world_.stall_daemon(1ms * random_.below(3000));
    case 1:
      return world_.suspend_daemon(1ms * random_.below(3000));
    case 2:
      return world_.take_over_daemon();
    default:
      return world_.kill_daemon();
  }
}

void Trial::spoil(std::size_t i) {
  static constexpr const char* commands[] = {
      "stop_receiving", "resume_receiving", "start_applier", "wait_applied",
      "promote",        "make_read_only",   "make_writable", "follow"};
  static constexpr Mishap mishaps[] = {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs};
  const char* command = commands[random_.below(std::size(commands))];
  const Mishap how = mishaps[random_.below(std::size(mishaps))];
  world_.story("FAULT", std::string(command) + " on db" + std::to_string(i + 1) + " will fail");
  world_.spoil(i, command, how, static_cast<unsigned>(random_.between(1, 3)));
}

void Trial::operate(std::size_t i) {
  if (!world_.daemon_runs()) return;
  switch (random_.below(world_.size() > 2 ? 7 : 6)) {
    case 0:
    case 1:
      world_.switchover(i);
      return;
    case 2:
      world_.switchover();
      return;
    case 3:
      world_.rejoin(i);
      return;
    case 4:
      world_.pause(random_.one_in(2));
      return;
    case 5:
      world_.failover(i);
      return;
    default:
      return world_.chain(i, any());
  }
}

void Trial::heal() {
  world_.story("FAULT", "everything is healed");
  if (!world_.daemon_runs()) world_.start_daemon();
  world_.spoil_store("");
  for (std::size_t i = 0; i < world_.size(); ++i) {
    world_.spoil_nothing(i);
    world_.stop_applying(i, false);
    world_.mend_replication(i);
    if (world_.server(i).power == ModelServer::Power::frozen) world_.thaw(i);
    if (!world_.server(i).answers()) world_.start(i);
    if (world_.has_agents()) world_.start_agent(i);
  }
  world_.mend_all();
  world_.mend_links();
  world_.run_for(world_.has_agents() ? 3s : 4s);  // until a stall is over
  world_.pause(false);
}

bool Trial::serves() const {
  if (!serviceable(world_)) return false;
  return !world_.has_agents() || world_.config().heartbeat.lease == 0s ||
         world_.agent(*world_.routed()).keeps_lease();
}

// Does what the daemon says an operator should do.
void Trial::act_as_operator() {
  needed = world_.core().reason();
  for (const auto& warning : world_.core().warnings()) needed += " | " + warning;
  static const std::string before = "failover --to ";
  std::optional<std::size_t> to;
  if (const auto at = needed.find(before); at != std::string::npos) {
    if (const auto id = world_.core().cluster().find(needed.substr(at + before.size(), 3))) to = index(*id);
  }
  if (!to) {
    for (std::size_t i = 0; i < world_.size(); ++i) {
      if (!to || world_.server(*to).log.within(world_.server(i).log)) to = i;
    }
  }
  forced_ = true;
  const auto request = world_.failover(to, true);
  world_.run_until_answered(request);
  for (std::size_t i = 0; i < world_.size(); ++i) world_.rejoin(i);
  world_.run_until([this] { return serves(); }, 30s);
}

// In mode required no transaction that a replica acknowledged may be lost, unless a person forced it.
void Trial::check_loss() {
  const auto primary = world_.routed();
  if (forced_ || !primary || world_.config().replication.semi_sync != conf::SemiSync::required) return;
  const auto missing = world_.missing_on(*primary, world_.acknowledged_by_replica());
  if (missing.empty()) return;
  problems.push_back(
      std::to_string(missing.size()) + " acknowledged transactions are lost, the first is " +
      gtids(missing.front().origin, missing.front().number, missing.front().number).to_string());
}

std::string Trial::describe() const {
  std::string text = world_.core().reason();
  for (const auto& warning : world_.core().warnings()) text += " | " + warning;
  for (std::size_t i = 0; i < world_.size(); ++i) {
    const auto& server = world_.server(i);
    text += " | db" + std::to_string(i + 1) + (server.read_only ? " ro" : " RW") + " " +
            server.log.set().to_string() +
            (server.replication ? " follows " + server.replication->source.host : "") + " " +
            world_.view(i).trouble;
  }
  return text;
}

}  // namespace pointsman::sim
