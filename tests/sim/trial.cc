// A few thousand small worlds in which anything may go wrong: whatever a seed makes happen, the invariants of
// world_checks.cc hold after each event, and when the faults are over the cluster serves again with one
// primary. A failing seed is run again with a trace. POINTSMAN_SEED runs one seed, POINTSMAN_WORLDS says how
// many.
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/core/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t default_worlds = 500;  // thirty times slower
#else
constexpr std::uint64_t default_worlds = 3000;
#endif
constexpr std::uint64_t first_seed = 1;
constexpr Duration healing_limit = 90s;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

WorldOptions options_of(std::uint64_t seed, bool trace) {
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
  options.set = [=](std::vector<ModelServer>& servers) {
    for (auto& server : servers) {
      server.read_only_at_boot = read_only_at_boot;
      server.sheds = sheds;
    }
  };
  return options;
}

// What was done to one world and what came of it.
class Trial {
 public:
  Trial(std::uint64_t seed, bool trace) : world_(options_of(seed, trace)), random_(seed) {}

  void run() {
    world_.run_for(2s);
    const auto faults = random_.between(1, 14);
    for (std::uint64_t i = 0; i < faults; ++i) {
      do_harm();
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

  const World& world() const { return world_; }
  std::vector<std::string> problems;
  bool served_by_itself = false;
  std::string needed;  // why an operator was needed

 private:
  std::uint64_t pause() {
    switch (random_.below(4)) {
      case 0:
        return random_.between(0, 3000);
      case 1:
        return random_.between(0, 100'000);
      case 2:
        return random_.between(0, 1'500'000);
      default:
        return random_.between(0, 6'000'000);
    }
  }
  std::size_t any() { return random_.below(world_.size()); }

  void do_harm() {
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
        return random_.one_in(2) ? world_.stop_applying(i, true) : world_.stop_applying(i, false);
      default:
        return operate(i);
    }
  }

  void spoil(std::size_t i) {
    static constexpr const char* commands[] = {"stop_receiving", "resume_receiving", "wait_applied",
                                               "promote",        "make_read_only",   "make_writable",
                                               "follow"};
    static constexpr Mishap mishaps[] = {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs};
    const char* command = commands[random_.below(std::size(commands))];
    const Mishap how = mishaps[random_.below(std::size(mishaps))];
    world_.explain_to("!! " + std::string(command) + " on db" + std::to_string(i + 1) + " will fail");
    world_.spoil(i, command, how, static_cast<unsigned>(random_.between(1, 3)));
  }

  void operate(std::size_t i) {
    if (!world_.daemon_runs()) return;
    switch (random_.below(6)) {
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
      default:
        world_.failover(i);
        return;
    }
  }

  void heal() {
    world_.explain_to("!! everything is healed");
    if (!world_.daemon_runs()) world_.start_daemon();
    world_.spoil_store("");
    for (std::size_t i = 0; i < world_.size(); ++i) {
      world_.spoil_nothing(i);
      world_.stop_applying(i, false);
      world_.mend_replication(i);
      if (world_.server(i).power == ModelServer::Power::frozen) world_.thaw(i);
      if (!world_.server(i).answers()) world_.start(i);
    }
    world_.mend_all();
    world_.run_for(4s);  // until a stall is over
    world_.pause(false);
  }

  bool serves() const { return serviceable(world_); }

  // Does what the daemon says an operator should do.
  void act_as_operator() {
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
  void check_loss() {
    const auto primary = world_.routed();
    if (forced_ || !primary || world_.config().replication.semi_sync != conf::SemiSync::required) return;
    const auto missing = world_.missing_on(*primary, world_.acknowledged_by_replica());
    if (missing.empty()) return;
    problems.push_back(
        std::to_string(missing.size()) + " acknowledged transactions are lost, the first is " +
        gtids(missing.front().origin, missing.front().number, missing.front().number).to_string());
  }

  std::string describe() const {
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

  World world_;
  Random random_;
  bool forced_ = false;
};

void show(std::uint64_t seed) {
  Trial again(seed, true);
  again.run();
  std::string text;
  for (const auto& line : again.world().trace()) text += line + "\n";
  const std::size_t most = number_from("POINTSMAN_TRACE", 15000);
  if (text.size() > most) text = "...\n" + text.substr(text.size() - most);
  GTEST_LOG_(INFO) << "seed " << seed << ":\n" << text;
}

TEST(RandomWorlds, ServeAgainAfterAnyFaults) {
  const std::uint64_t only = number_from("POINTSMAN_SEED", 0);
  const std::uint64_t worlds = only != 0 ? 1 : number_from("POINTSMAN_WORLDS", default_worlds);
  std::uint64_t by_operators = 0;
  std::map<std::string, std::pair<unsigned, std::uint64_t>> kinds;
  for (std::uint64_t n = 0; n < worlds; ++n) {
    const std::uint64_t seed = only != 0 ? only : first_seed + n;
    Trial trial(seed, false);
    trial.run();
    if (!trial.served_by_itself) {
      ++by_operators;
      if (number_from("POINTSMAN_VERBOSE", 0) != 0)
        GTEST_LOG_(INFO) << "seed " << seed << " needed an operator: " << trial.needed;
    }
    for (const auto& problem : trial.problems) {
      auto& kind = kinds[problem.substr(0, 60)];
      if (kind.first++ == 0) kind.second = seed;
      if (kind.first == 1) ADD_FAILURE() << "POINTSMAN_SEED=" << seed << ": " << problem;
    }
    if (only != 0) show(seed);
  }
  for (const auto& [problem, count] : kinds)
    GTEST_LOG_(INFO) << count.first << " times, first seed " << count.second << ": " << problem;
  GTEST_LOG_(INFO) << worlds << " worlds, " << by_operators << " needed an operator";
}

}  // namespace
}  // namespace pointsman::sim
