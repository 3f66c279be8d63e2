#include "bench/against.h"
#include "bench/against_report.h"
#include "bench/command.h"

namespace pointsman::bench {

namespace {

class AgainstCommand : public Command {
 public:
  explicit AgainstCommand(CLI::App* app) : Command(app) {
    app->add_option("--command", file_, "names the endpoint and the commands, see below")->required();
    app->add_option("--runs", options_.runs, "kills")->check(CLI::Range(1, 10000))->capture_default_str();
    add_writers(*app, options_.clients, options_.rate, options_.pace);
    app->add_option("--json", json_, "writes all runs and the machine's description to this file");
    app->add_option("--plot", plots_.directory, "draws throughput and gaps into this folder, see below");
    add_gnuplot(*app, plots_);
    app->footer(std::string(against_definitions) + "\n\n--plot. " + plot_definitions);
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    auto file = load_against(file_);
    if (!file) {
      for (const auto& problem : file.error()) say(conf::to_string(problem));
      return 2;
    }
    options_.file = std::move(*file);
    if (auto fault = rate_fault(options_.rate, options_.clients)) return complain(*fault);
    auto report = Report::open(json_, "against",
                               "endpoint " + conf::to_string(options_.file.endpoint.address), command_line);
    if (!report) return complain(report.error());
    if (!plots_.directory.empty()) {
      if (auto ready = report->plot_into(plots_); !ready) return complain(ready.error());
    }
    AgainstBench bench(options_, [&stop] { return stop.asked(); }, say);
    const auto done = bench.run();
    const std::size_t missing = total_missing(bench.runs());
    std::string error = done ? "" : done.error();
    if (error.empty() && missing > 0) error = std::to_string(missing) + " acknowledged rows are missing";
    nlohmann::json json = against_json(options_, bench.runs());
    json["server_version"] = bench.server_version();
    return report->finish(against_text(options_, bench.runs()), json, error);
  }

 private:
  std::string file_;
  std::string json_;
  PlotPlace plots_;
  AgainstOptions options_;
};

}  // namespace

std::unique_ptr<Command> add_against_command(CLI::App& app) {
  return std::make_unique<AgainstCommand>(
      app.add_subcommand("against", "the same for an endpoint that is not Pointsman's"));
}

}  // namespace pointsman::bench
