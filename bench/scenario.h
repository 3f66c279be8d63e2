#pragma once

#include <array>
#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/testbed/hosts.h"

// What can happen to a primary, and the installation in which it is shown. Pure.
namespace pointsman::bench {

enum class Scenario {
  crash,       // SIGKILL of mysqld
  hang,        // SIGSTOP of mysqld beside a living agent, which kills it
  freeze,      // SIGSTOP of mysqld without agents: all that is left is silence
  host_dead,   // both links cut, then all processes of the host killed
  cut_eth0,    // eth0 cut, the serial line alive: the fence goes over it
  cut_serial,  // the serial line cut, eth0 alive: nothing may happen
  switchover,  // planned
};
inline constexpr std::array all_scenarios{Scenario::crash,     Scenario::hang,     Scenario::freeze,
                                          Scenario::host_dead, Scenario::cut_eth0, Scenario::cut_serial,
                                          Scenario::switchover};
const char* to_string(Scenario scenario);
std::expected<Scenario, std::string> parse_scenario(const std::string& name);

// The primary changes; false for cut_serial.
bool moves_primary(Scenario scenario);
// What shows it is silence alone, which has to last for deadtime.
bool takes_deadtime(Scenario scenario);

struct Setup {
  using Millis = std::chrono::milliseconds;

  bool agents = false;
  bool network = false;  // hosts of their own, for root; else all on 127.0.0.1
  bool udp = true;       // these three without a meaning when there are no agents
  bool serial = true;
  unsigned baud = 19200;
  testbed::Hosts::Times times{};
  Millis interval{200};  // [monitor]
  Millis timeout{500};
  Millis ping_timeout{500};  // of the agents
};

// What the command line says instead of a scenario's own; nullopt: nothing.
struct Wishes {
  using Millis = std::chrono::milliseconds;

  std::optional<bool> agents{};
  std::optional<bool> network{};
  std::optional<std::vector<std::string>> links{};  // "udp", "serial"
  std::optional<unsigned> baud{};
  std::optional<Millis> keepalive{}, warntime{}, deadtime{}, lease{}, interval{}, timeout{}, ping_timeout{};
};

// host_dead: the fast times (see the README); all others: the defaults of the configuration. A shorter
// deadtime takes warntime and lease with it, and a shorter keepalive the line's speed, where they are not
// wished for. Error: the scenario cannot be shown so.
std::expected<Setup, std::string> setup_for(Scenario scenario, const Wishes& wishes);
// The same for what is no scenario of a failover but has to do with heartbeats: agents, on 127.0.0.1, at the
// configuration's defaults or at the fast times of host_dead.
enum class Speed { usual, fast };
std::expected<Setup, std::string> setup_for_heartbeats(Speed speed, const Wishes& wishes);

// The slowest usual line that `pointsman check` accepts at that keepalive; the fastest when there is none.
unsigned baud_for(Setup::Millis keepalive);

// "agents over udp and serial (19200 baud), network namespaces, keepalive 100 ms, ...".
std::string describe(const Setup& setup);
nlohmann::json to_json(const Setup& setup);

}  // namespace pointsman::bench
