// pointsman-bench: measures failover latency and relay cost on real servers.
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/failover.h"
#include "bench/failover_report.h"
#include "bench/machine.h"
#include "bench/relay.h"
#include "bench/stop_signal.h"

namespace {

using namespace pointsman;

struct Arguments {
  std::vector<std::string> command_line;
  std::string json;
  bench::StopSignal* stop = nullptr;

  std::string product = "mariadb";
  std::string scenario = "crash";
  std::string semi_sync = "preferred";
  unsigned think_ms = 0;
  bench::FailoverOptions failover;

  unsigned seconds = 10;
  bench::RelayOptions relay;
};

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

int complain(const std::string& text) {
  say("pointsman-bench: " + text);
  return 1;
}

void print_head(const nlohmann::json& report) {
  std::printf("%s\n%s, pointsman %s\n\n", bench::machine_line(report["machine"]).c_str(),
              report["machine"].value("server", "").c_str(), POINTSMAN_VERSION);
}

void describe_failover(CLI::App& app, Arguments& arguments) {
  app.add_option("--product", arguments.product, "the servers")
      ->check(CLI::IsMember({"mariadb", "mysql"}))
      ->capture_default_str();
  app.add_option("--scenario", arguments.scenario, "what happens to the primary")
      ->check(CLI::IsMember({"crash", "freeze", "switchover", "all"}))
      ->capture_default_str();
  app.add_option("--runs", arguments.failover.runs, "of each scenario")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--clients", arguments.failover.clients, "writers, a thread and a connection each")
      ->check(CLI::Range(1, 500))
      ->capture_default_str();
  app.add_option("--think", arguments.think_ms, "pause of a writer after each commit, in ms")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  app.add_option("--semi-sync", arguments.semi_sync, "replication.semi_sync")
      ->check(CLI::IsMember({"required", "preferred", "off"}))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "writes all runs and the machine's description to this file");
  app.add_option(
      "--work-dir", arguments.failover.work_directory,
      "an empty or new folder for servers and logs, which are kept (short: it holds unix sockets)");
  app.footer(bench::failover_definitions);
}

// The file is opened before the measurement: a path that cannot be written shall not cost half an hour.
int run_failover(Arguments& arguments) {
  const auto product = testbed::parse_product(arguments.product);
  const auto semi_sync = bench::parse_semi_sync(arguments.semi_sync);
  if (!product) return complain(product.error());
  if (!semi_sync) return complain(semi_sync.error());
  bench::FailoverOptions& options = arguments.failover;
  options.product = *product;
  options.semi_sync = *semi_sync;
  options.think_time = std::chrono::milliseconds(arguments.think_ms);
  options.scenarios.clear();
  for (const auto scenario : {bench::Scenario::crash, bench::Scenario::freeze, bench::Scenario::switchover}) {
    if (arguments.scenario == "all" || arguments.scenario == bench::to_string(scenario)) {
      options.scenarios.push_back(scenario);
    }
  }
  nlohmann::json report = {{"benchmark", "failover"},
                           {"machine", bench::describe_machine(arguments.command_line)}};
  report["machine"]["server"] = bench::server_version(*product);
  if (!arguments.json.empty()) {
    if (auto written = bench::write_json(arguments.json, report); !written) return complain(written.error());
  }
  bench::FailoverBench benchmark(options, [&] { return arguments.stop->asked(); }, say);
  const auto done = benchmark.run();
  print_head(report);
  std::printf("%s", bench::failover_text(options, benchmark.runs()).c_str());
  report.update(bench::failover_json(options, benchmark.runs()));
  if (!done) report["error"] = done.error();
  if (!arguments.json.empty()) {
    if (auto written = bench::write_json(arguments.json, report); !written) return complain(written.error());
  }
  if (!done) return complain(done.error());
  const std::size_t missing = bench::total_missing(benchmark.runs());
  return missing == 0 ? 0 : complain(std::to_string(missing) + " acknowledged rows are missing");
}

void describe_relay(CLI::App& app, Arguments& arguments) {
  app.add_option("--threads", arguments.relay.threads, "of Pointsman and of HAProxy")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--clients", arguments.relay.clients, "sysbench's connections")
      ->delimiter(',')
      ->check(CLI::Range(1, 500))
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "of each measurement")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_option("--rounds", arguments.relay.rounds, "direct, Pointsman, HAProxy, one after another")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "writes all rounds and the machine's description to this file");
  app.footer(bench::relay_definitions);
}

int run_relay(Arguments& arguments) {
  arguments.relay.time = std::chrono::seconds(arguments.seconds);
  nlohmann::json report = {{"benchmark", "relay"},
                           {"machine", bench::describe_machine(arguments.command_line)}};
  report["machine"]["server"] = bench::server_version(testbed::Product::mariadb);
  if (!arguments.json.empty()) {
    if (auto written = bench::write_json(arguments.json, report); !written) return complain(written.error());
  }
  bench::RelayBench benchmark(arguments.relay, [&] { return arguments.stop->asked(); }, say);
  const auto done = benchmark.run();
  print_head(report);
  std::printf("%s", benchmark.text().c_str());
  report.update(benchmark.json());
  if (!done) report["error"] = done.error();
  if (!arguments.json.empty()) {
    if (auto written = bench::write_json(arguments.json, report); !written) return complain(written.error());
  }
  return done ? 0 : complain(done.error());
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  arguments.command_line.assign(argv, argv + argc);
  CLI::App app("Measures failover latency and relay cost of Pointsman on real servers.", "pointsman-bench");
  app.set_version_flag("--version", POINTSMAN_VERSION);
  app.require_subcommand(1);
  CLI::App* failover =
      app.add_subcommand("failover", "how long clients cannot write when the primary changes");
  describe_failover(*failover, arguments);
  CLI::App* relay = app.add_subcommand("relay", "what relaying costs, beside HAProxy");
  describe_relay(*relay, arguments);
  CLI11_PARSE(app, argc, argv);
  bench::StopSignal stop;
  arguments.stop = &stop;
  return failover->parsed() ? run_failover(arguments) : run_relay(arguments);
}
