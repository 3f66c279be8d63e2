#include "bench/scenario.h"

#include <algorithm>
#include <array>

#include "conf/validate.h"

namespace pointsman::bench {

namespace {

using Millis = Setup::Millis;

constexpr std::array usual_bauds{19200U, 38400U, 57600U, 115200U};
void be_fast(Setup& setup) {
  setup.times = {
      .keepalive = Millis(50), .warntime = Millis(150), .deadtime = Millis(300), .lease = Millis(200)};
  setup.interval = Millis(50);
  setup.timeout = Millis(100);
}

Setup own_setup(Scenario scenario) {
  Setup setup;
  switch (scenario) {
    case Scenario::crash:
    case Scenario::freeze:
    case Scenario::switchover:
      break;
    case Scenario::hang:
      setup.agents = true;
      break;
    case Scenario::host_dead:
      setup.agents = true;
      setup.network = true;
      be_fast(setup);
      break;
    case Scenario::cut_eth0:
    case Scenario::cut_serial:
      setup.agents = true;
      setup.network = true;
      break;
  }
  return setup;
}

std::expected<void, std::string> take_links(Setup& setup, const std::vector<std::string>& links) {
  setup.udp = setup.serial = false;
  for (const std::string& link : links) {
    if (link == "udp") {
      setup.udp = true;
    } else if (link == "serial") {
      setup.serial = true;
    } else {
      return std::unexpected("no link '" + link + "'; udp, serial, or both with a comma between");
    }
  }
  return {};
}

std::expected<Setup, std::string> with_wishes(Setup setup, const Wishes& wishes) {
  setup.agents = wishes.agents.value_or(setup.agents);
  setup.network = wishes.network.value_or(setup.network);
  if (wishes.links) {
    if (auto taken = take_links(setup, *wishes.links); !taken) return std::unexpected(taken.error());
  }
  if (!setup.udp && !setup.serial) setup.agents = false;
  auto& times = setup.times;
  times.keepalive = wishes.keepalive.value_or(times.keepalive);
  times.deadtime = wishes.deadtime.value_or(times.deadtime);
  times.warntime = wishes.warntime.value_or(std::min(times.warntime, times.deadtime / 2));
  times.lease =
      wishes.lease.value_or(wishes.deadtime ? std::min(times.lease, times.deadtime / 2) : times.lease);
  setup.interval = wishes.interval.value_or(setup.interval);
  setup.timeout = wishes.timeout.value_or(setup.timeout);
  setup.ping_timeout = wishes.ping_timeout.value_or(setup.ping_timeout);
  setup.baud = wishes.baud.value_or(baud_for(times.keepalive));
  return setup;
}

}  // namespace

const char* to_string(Scenario scenario) {
  switch (scenario) {
    case Scenario::crash:
      return "crash";
    case Scenario::hang:
      return "hang";
    case Scenario::freeze:
      return "freeze";
    case Scenario::host_dead:
      return "host-dead";
    case Scenario::cut_eth0:
      return "cut-eth0";
    case Scenario::cut_serial:
      return "cut-serial";
    case Scenario::switchover:
      return "switchover";
  }
  return "?";
}

std::expected<Scenario, std::string> parse_scenario(const std::string& name) {
  std::string names;
  for (const Scenario scenario : all_scenarios) {
    if (name == to_string(scenario)) return scenario;
    names += (names.empty() ? "" : ", ") + std::string(to_string(scenario));
  }
  return std::unexpected("no scenario '" + name + "'; one of: " + names);
}

bool moves_primary(Scenario scenario) {
  return scenario != Scenario::cut_serial;
}

bool takes_deadtime(Scenario scenario) {
  return scenario == Scenario::hang || scenario == Scenario::freeze || scenario == Scenario::host_dead ||
         scenario == Scenario::cut_eth0;
}

unsigned baud_for(Millis keepalive) {
  const auto fits = [keepalive](unsigned baud) { return conf::why_line_too_slow(baud, keepalive).empty(); };
  const auto found = std::ranges::find_if(usual_bauds, fits);
  return found != usual_bauds.end() ? *found : usual_bauds.back();
}

std::expected<Setup, std::string> setup_for(Scenario scenario, const Wishes& wishes) {
  auto setup = with_wishes(own_setup(scenario), wishes);
  if (!setup) return setup;
  const std::string name = to_string(scenario);
  if (scenario == Scenario::hang && !setup->agents)
    return std::unexpected(name + " needs agents; without them it is freeze");
  if ((scenario == Scenario::host_dead || scenario == Scenario::cut_eth0) && !setup->network)
    return std::unexpected(name + " needs hosts of their own, as it cuts a cable");
  if ((scenario == Scenario::cut_eth0 || scenario == Scenario::cut_serial) &&
      (!setup->agents || !setup->udp || !setup->serial))
    return std::unexpected(name + " needs agents and both links");
  return setup;
}

std::expected<Setup, std::string> setup_for_heartbeats(Speed speed, const Wishes& wishes) {
  Setup setup;
  setup.agents = true;
  if (speed == Speed::fast) be_fast(setup);
  auto made = with_wishes(setup, wishes);
  if (made && !made->agents) return std::unexpected("this needs agents and a link");
  return made;
}

std::string describe(const Setup& setup) {
  const auto ms = [](Millis time) { return std::to_string(time.count()) + " ms"; };
  std::string text = "no agents";
  if (setup.agents) {
    const std::string line = "serial at " + std::to_string(setup.baud) + " baud";
    text = "agents over " + std::string(setup.udp ? "udp" : "") + (setup.udp && setup.serial ? " and " : "") +
           (setup.serial ? line : "");
  }
  text += setup.network ? ", network namespaces" : ", loopback";
  text += "; deadtime " + ms(setup.times.deadtime);
  if (setup.agents) {
    text += ", keepalive " + ms(setup.times.keepalive) + ", warntime " + ms(setup.times.warntime) +
            ", lease " + ms(setup.times.lease);
  }
  return text + ", monitor interval " + ms(setup.interval) + ", timeout " + ms(setup.timeout);
}

nlohmann::json to_json(const Setup& setup) {
  nlohmann::json json = {{"agents", setup.agents},
                         {"network", setup.network},
                         {"deadtime_ms", setup.times.deadtime.count()},
                         {"interval_ms", setup.interval.count()},
                         {"timeout_ms", setup.timeout.count()}};
  if (!setup.agents) return json;
  json.update({{"udp", setup.udp},
               {"serial", setup.serial},
               {"keepalive_ms", setup.times.keepalive.count()},
               {"warntime_ms", setup.times.warntime.count()},
               {"lease_ms", setup.times.lease.count()},
               {"ping_timeout_ms", setup.ping_timeout.count()}});
  if (setup.serial) json["baud"] = setup.baud;
  return json;
}

}  // namespace pointsman::bench
