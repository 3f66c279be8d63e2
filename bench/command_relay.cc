#include "bench/command.h"
#include "bench/relay.h"

namespace pointsman::bench {

namespace {

class RelayCommand : public Command {
 public:
  explicit RelayCommand(CLI::App* app) : Command(app) {
    app->add_option("--threads", options_.threads, "of Pointsman and of HAProxy")
        ->delimiter(',')
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app->add_option("--workloads", workloads_, "point-select, read-write, bulk, connect; none: memory only")
        ->delimiter(',')
        ->capture_default_str();
    app->add_option("--clients", options_.clients, "sysbench's connections")
        ->delimiter(',')
        ->check(CLI::Range(1, 500))
        ->capture_default_str();
    app->add_option("--seconds", seconds_, "of each measurement")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    app->add_option("--rounds", options_.rounds, "direct, Pointsman, HAProxy, one after another")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app->add_option("--idle", options_.idle_connections,
                    "idle sessions of the memory measurement; 0: without it")
        ->check(CLI::Range(0, 100000))
        ->capture_default_str();
    app->add_option("--busy", options_.busy_connections, "clients beside them")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    app->add_option("--json", json_, "writes all rounds and the machine's description to this file");
    app->footer(relay_definitions);
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    options_.time = std::chrono::seconds(seconds_);
    options_.workloads.clear();
    for (const std::string& name : workloads_) {
      if (name == "none") continue;
      const auto workload = parse_workload(name);
      if (!workload) return complain(workload.error());
      options_.workloads.push_back(*workload);
    }
    auto report = Report::open(json_, "relay", testbed::Product::mariadb, command_line);
    if (!report) return complain(report.error());
    RelayBench bench(options_, [&stop] { return stop.asked(); }, say);
    const auto done = bench.run();
    return report->finish(bench.text(), bench.json(), done ? "" : done.error());
  }

 private:
  unsigned seconds_ = 10;
  std::string json_;
  std::vector<std::string> workloads_{"point-select", "read-write", "bulk", "connect"};
  RelayOptions options_;
};

}  // namespace

std::unique_ptr<Command> add_relay_command(CLI::App& app) {
  return std::make_unique<RelayCommand>(app.add_subcommand("relay", "what relaying costs, beside HAProxy"));
}

}  // namespace pointsman::bench
