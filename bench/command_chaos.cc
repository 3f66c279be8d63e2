#include <random>

#include "bench/chaos.h"
#include "bench/command.h"

namespace pointsman::bench {

namespace {

class ChaosCommand : public Command {
 public:
  explicit ChaosCommand(CLI::App* app) : Command(app) {
    add_product(*app, product_);
    app->add_option("--minutes", minutes_, "how long; the round that runs then is finished")
        ->check(CLI::Range(0.05, 1440.0))
        ->capture_default_str();
    app->add_option("--seed", seed_,
                    "decides all faults and their times; default a random one, which is told");
    app->add_option("--rounds", options_.rounds, "at most so many; default no such limit")
        ->check(CLI::Range(1, 1'000'000));
    app->add_option("--faults", faults_, "only these, with commas between; default all")->delimiter(',');
    app->add_option("--writers", options_.writers, "that do not pause")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    app->add_option("--json", json_, "writes all to this file");
    app->add_option("--work-dir", options_.work_directory,
                    "an empty or new folder for servers and logs, which are kept");
    std::string all;
    for (const FaultKind kind : all_fault_kinds) all += (all.empty() ? "" : ", ") + to_string(kind);
    app->footer(
        "Three hosts in network namespaces (for root), agents, both links, semi-sync required, the\n"
        "configuration's own times. Each round: writers commit numbered rows through the proxy, one or two\n"
        "faults, all is mended. Then there must be one primary and its replica, every agent heard, no\n"
        "acknowledged row missing, none twice, the same rows on both servers; and never two servers that\n"
        "accept writes. The first round that fails ends it, with its story and all logs.\n"
        "Faults: " +
        all + ".\nExit status 1 when a round failed.");
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    options_.product = *testbed::parse_product(product_);
    options_.time = std::chrono::round<std::chrono::milliseconds>(
        std::chrono::duration<double, std::ratio<60>>(minutes_));
    options_.seed = seed_.value_or(std::random_device{}());
    if (!faults_.empty()) options_.kinds.clear();
    for (const std::string& name : faults_) {
      const auto kind = parse_fault_kind(name);
      if (!kind) return complain(kind.error());
      options_.kinds.push_back(*kind);
    }
    auto report = Report::open(json_, "chaos", options_.product, command_line);
    if (!report) return complain(report.error());
    Chaos chaos(options_, [&stop] { return stop.asked(); }, say);
    const auto result = chaos.run();
    return report->finish(chaos_text(options_, result), to_json(options_, result), result.error);
  }

 private:
  std::string product_ = "mariadb";
  double minutes_ = 10;
  std::optional<std::uint64_t> seed_;
  std::vector<std::string> faults_;
  std::string json_;
  ChaosOptions options_;
};

}  // namespace

std::unique_ptr<Command> add_chaos_command(CLI::App& app) {
  return std::make_unique<ChaosCommand>(
      app.add_subcommand("chaos", "whether anything is lost when one thing after another fails"));
}

}  // namespace pointsman::bench
