#include "bench/command.h"
#include "bench/relay_cost.h"

namespace pointsman::bench {

namespace {

class RelayCostCommand : public Command {
 public:
  explicit RelayCostCommand(CLI::App* app) : Command(app) {
    app->add_option("--idle", options_.idle_connections, "silent sessions of the last row; 0: without it")
        ->check(CLI::Range(0, 100000))
        ->capture_default_str();
    app->add_option("--json", json_, "writes the counts and the machine's description to this file");
    app->footer(cost_definitions);
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    auto report = Report::open(json_, "relay-cost", testbed::Product::mariadb, command_line);
    if (!report) return complain(report.error());
    RelayCost cost(options_, [&stop] { return stop.asked(); }, say);
    const auto done = cost.run();
    return report->finish(cost_text(cost.rows()), cost_json(cost.rows()), done ? "" : done.error());
  }

 private:
  std::string json_;
  CostOptions options_;
};

}  // namespace

std::unique_ptr<Command> add_relay_cost_command(CLI::App& app) {
  return std::make_unique<RelayCostCommand>(
      app.add_subcommand("relay-cost", "instructions and system calls of a query, beside HAProxy's"));
}

}  // namespace pointsman::bench
