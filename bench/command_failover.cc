#include <algorithm>

#include "bench/command.h"
#include "bench/failover.h"
#include "bench/failover_report.h"

namespace pointsman::bench {

namespace {

class FailoverCommand : public Command {
 public:
  explicit FailoverCommand(CLI::App* app) : Command(app) {
    add_product(*app, product_);
    std::vector<std::string> names{"all"};
    for (const Scenario scenario : all_scenarios) names.emplace_back(to_string(scenario));
    app->add_option("--scenario", scenarios_, "what happens to the primary; several with commas between")
        ->delimiter(',')
        ->check(CLI::IsMember(names))
        ->capture_default_str();
    app->add_option("--runs", options_.runs, "of each scenario")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    app->add_option("--clients", options_.clients, "writers, a thread and a connection each")
        ->check(CLI::Range(1, 500))
        ->capture_default_str();
    app->add_option("--think", think_ms_, "pause of a writer after each commit, in ms")
        ->check(CLI::Range(0, 10000))
        ->capture_default_str();
    app->add_option("--semi-sync", semi_sync_, "replication.semi_sync")
        ->check(CLI::IsMember({"required", "preferred", "off"}))
        ->capture_default_str();
    app->add_flag("--compare-agents", compare_,
                  "two installations, without agents and with them, that take turns run by run");
    app->add_option("--json", json_, "writes all runs and the machine's description to this file");
    app->add_option(
        "--work-dir", options_.work_directory,
        "an empty or new folder for servers and logs, which are kept (short: it holds unix sockets)");
    add_wishes(*app, options_.wishes);
    app->footer(failover_definitions);
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    if (auto ready = prepare(); !ready) return complain(ready.error());
    auto report = Report::open(json_, "failover", options_.product, command_line);
    if (!report) return complain(report.error());
    stop_ = [&stop] { return stop.asked(); };
    return compare_ ? compare(*report) : measure(*report);
  }

 private:
  std::expected<void, std::string> prepare() {
    const auto product = testbed::parse_product(product_);
    if (!product) return std::unexpected(product.error());
    const auto semi_sync = parse_semi_sync(semi_sync_);
    if (!semi_sync) return std::unexpected(semi_sync.error());
    options_.product = *product;
    options_.semi_sync = *semi_sync;
    options_.think_time = std::chrono::milliseconds(think_ms_);
    options_.scenarios.clear();
    for (const Scenario scenario : all_scenarios) {
      const bool named = std::ranges::find(scenarios_, to_string(scenario)) != scenarios_.end();
      if (named || std::ranges::find(scenarios_, "all") != scenarios_.end())
        options_.scenarios.push_back(scenario);
    }
    // What cannot be shown is told now and not after the scenarios before it.
    for (const Scenario scenario : options_.scenarios) {
      for (const bool agents : {false, true}) {
        Wishes wishes = options_.wishes;
        if (compare_) wishes.agents = agents;
        if (auto setup = setup_for(scenario, wishes); !setup) return std::unexpected(setup.error());
      }
    }
    return {};
  }

  static std::string why_not_well(std::span<const FailoverRun> runs) {
    if (const std::size_t missing = total_missing(runs); missing > 0)
      return std::to_string(missing) + " acknowledged rows are missing";
    const auto ill = [](const FailoverRun& run) { return run.calm && run.calm->links_down.size() != 1; };
    return std::ranges::any_of(runs, ill) ? "a cut serial line was not the one link reported dead" : "";
  }

  int measure(Report& report) {
    FailoverBench bench(options_, stop_, say);
    const auto done = bench.run();
    return report.finish(failover_text(options_, bench.runs()), failover_json(options_, bench.runs()),
                         done ? why_not_well(bench.runs()) : done.error());
  }

  int compare(Report& report) {
    FailoverOptions without = options_;
    FailoverOptions with = options_;
    without.wishes.agents = false;
    with.wishes.agents = true;
    if (!options_.work_directory.empty()) {
      without.work_directory = options_.work_directory / "without";
      with.work_directory = options_.work_directory / "with";
    }
    FailoverBench plain(without, stop_, say);
    FailoverBench agents(with, stop_, say);
    const auto done = take_turns(plain, agents);
    const std::string text = "Without agents\n" + failover_text(without, plain.runs()) +
                             "\nWith agents, run by run in turn\n" + failover_text(with, agents.runs()) +
                             compared_text(options_.scenarios, plain.runs(), agents.runs());
    std::string error = done ? why_not_well(plain.runs()) : done.error();
    if (error.empty()) error = why_not_well(agents.runs());
    return report.finish(text,
                         {{"without_agents", failover_json(without, plain.runs())},
                          {"with_agents", failover_json(with, agents.runs())}},
                         error);
  }

  // Who comes first changes with each pair.
  std::expected<void, std::string> take_turns(FailoverBench& a, FailoverBench& b) {
    for (const Scenario scenario : options_.scenarios) {
      for (FailoverBench* bench : {&a, &b}) {
        if (auto ready = bench->prepare(scenario); !ready) return ready;
      }
      for (unsigned i = 0; i < options_.runs; ++i) {
        for (FailoverBench* bench : {i % 2 == 0 ? &a : &b, i % 2 == 0 ? &b : &a}) {
          if (auto done = bench->run_next(); !done) return done;
        }
      }
    }
    return {};
  }

  std::string product_ = "mariadb";
  std::vector<std::string> scenarios_{"crash"};
  std::string semi_sync_ = "preferred";
  std::string json_;
  unsigned think_ms_ = 0;
  bool compare_ = false;
  FailoverOptions options_;
  std::function<bool()> stop_;
};

}  // namespace

std::unique_ptr<Command> add_failover_command(CLI::App& app) {
  return std::make_unique<FailoverCommand>(
      app.add_subcommand("failover", "how long clients cannot write when the primary changes"));
}

}  // namespace pointsman::bench
