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
    add_writers(*app, options_.clients, options_.rate, options_.pace);
    app->add_option("--semi-sync", semi_sync_, "replication.semi_sync")
        ->check(CLI::IsMember({"required", "preferred", "off"}))
        ->capture_default_str();
    app->add_option("--setting", options_.settings,
                    "a line for both servers' my.cnf, e.g. 'sync_binlog = 0'; may be given several times")
        ->allow_extra_args(false);
    app->add_option_function<std::vector<std::string>>(
           "--key",
           [this](const std::vector<std::string>& lines) {
             for (const std::string& line : lines) add_key(line);
           },
           "a key of pointsman.toml, e.g. 'proxy.release_rate = 200'; may be given several times")
        ->allow_extra_args(false);
    auto* agents =
        app->add_flag("--compare-agents", compare_agents_,
                      "two installations, without agents and with them, that take turns run by run");
    app->add_flag("--compare-apply", compare_apply_,
                  "the same, with replicas that apply by one thread and by eight")
        ->excludes(agents);
    app->add_option("--json", json_, "writes all runs and the machine's description to this file");
    app->add_option("--plot", plots_.directory, "draws throughput and gaps into this folder, see below");
    add_gnuplot(*app, plots_);
    app->add_option(
        "--work-dir", options_.work_directory,
        "an empty or new folder for servers and logs, which are kept (short: it holds unix sockets)");
    add_wishes(*app, options_.wishes);
    app->footer(std::string(failover_definitions) + "\n\n--plot. " + plot_definitions);
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    if (auto ready = prepare(); !ready) return complain(ready.error());
    auto report = Report::open(json_, "failover", options_.product, command_line);
    if (!report) return complain(report.error());
    if (!plots_.directory.empty()) {
      if (auto ready = report->plot_into(plots_); !ready) return complain(ready.error());
    }
    stop_ = [&stop] { return stop.asked(); };
    if (compare_agents_) return compare(*report, agents_or_not());
    return compare_apply_ ? compare(*report, appliers()) : measure(*report);
  }

 private:
  std::expected<void, std::string> prepare() {
    const auto product = testbed::parse_product(product_);
    if (!product) return std::unexpected(product.error());
    const auto semi_sync = parse_semi_sync(semi_sync_);
    if (!semi_sync) return std::unexpected(semi_sync.error());
    options_.product = *product;
    options_.semi_sync = *semi_sync;
    if (auto fault = rate_fault(options_.rate, options_.clients)) return std::unexpected(*fault);
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
        if (compare_agents_) wishes.agents = agents;
        if (auto setup = setup_for(scenario, wishes); !setup) return std::unexpected(setup.error());
      }
    }
    return {};
  }

  // "section.name = value", the value as TOML has it.
  void add_key(const std::string& line) {
    const std::size_t dot = line.find('.');
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos || dot > equals)
      throw CLI::ValidationError("--key", "'" + line + "' is not 'section.name = value'");
    const auto trimmed = [](std::string text) { return CLI::detail::trim(text); };
    options_.keys[trimmed(line.substr(0, dot))][trimmed(line.substr(dot + 1, equals - dot - 1))] =
        trimmed(line.substr(equals + 1));
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

  // Two installations that differ in one thing.
  struct Comparison {
    FailoverOptions without;
    FailoverOptions with;
    std::string what;  // that one has and the other has not
    std::string key;
  };

  Comparison agents_or_not() const {
    Comparison pair{options_, options_, "agents", "agents"};
    pair.without.wishes.agents = false;
    pair.with.wishes.agents = true;
    return pair;
  }

  Comparison appliers() const {
    Comparison pair{options_, options_, "parallel apply on the replica", "parallel_apply"};
    const bool mariadb = options_.product == testbed::Product::mariadb;
    const std::string threads = mariadb ? "slave_parallel_threads = " : "replica_parallel_workers = ";
    pair.without.settings.push_back(threads + (mariadb ? "0" : "1"));  // MariaDB's default
    pair.with.settings.push_back(threads + "8");
    return pair;
  }

  int compare(Report& report, Comparison pair) {
    if (!options_.work_directory.empty()) {
      pair.without.work_directory = options_.work_directory / "without";
      pair.with.work_directory = options_.work_directory / "with";
    }
    FailoverBench without(pair.without, stop_, say);
    FailoverBench with(pair.with, stop_, say);
    const auto done = take_turns(without, with);
    const std::string text = "Without " + pair.what + "\n" + failover_text(pair.without, without.runs()) +
                             "\nWith " + pair.what + ", run by run in turn\n" +
                             failover_text(pair.with, with.runs()) +
                             compared_text(options_.scenarios, without.runs(), with.runs());
    std::string error = done ? why_not_well(without.runs()) : done.error();
    if (error.empty()) error = why_not_well(with.runs());
    return report.finish(text,
                         {{"without_" + pair.key, failover_json(pair.without, without.runs())},
                          {"with_" + pair.key, failover_json(pair.with, with.runs())}},
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
  PlotPlace plots_;
  bool compare_agents_ = false;
  bool compare_apply_ = false;
  FailoverOptions options_;
  std::function<bool()> stop_;
};

}  // namespace

std::unique_ptr<Command> add_failover_command(CLI::App& app) {
  return std::make_unique<FailoverCommand>(
      app.add_subcommand("failover", "how long clients cannot write when the primary changes"));
}

}  // namespace pointsman::bench
