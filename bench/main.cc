// pointsman-bench: measures failover latency, heartbeats and relay cost on real servers, and looks for
// losses.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/command.h"
#include "bench/stop_signal.h"

int main(int argc, char** argv) {
  using namespace pointsman::bench;
  CLI::App app(
      "Measures failover latency, heartbeats and relay cost of Pointsman on real servers, and looks for "
      "losses.",
      "pointsman-bench");
  app.set_version_flag("--version", POINTSMAN_VERSION);
  app.require_subcommand(1);
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(add_failover_command(app));
  commands.push_back(add_against_command(app));
  commands.push_back(add_plot_command(app));
  commands.push_back(add_false_death_command(app));
  commands.push_back(add_serial_load_command(app));
  commands.push_back(add_relay_command(app));
  commands.push_back(add_relay_cost_command(app));
  commands.push_back(add_chaos_command(app));
  CLI11_PARSE(app, argc, argv);
  StopSignal stop;
  const auto chosen = std::ranges::find_if(commands, [](const auto& command) { return command->parsed(); });
  return chosen == commands.end() ? 2 : (*chosen)->run({argv, argv + argc}, stop);
}
