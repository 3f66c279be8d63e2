#include <fstream>

#include "bench/command.h"

namespace pointsman::bench {

namespace {

class PlotCommand : public Command {
 public:
  explicit PlotCommand(CLI::App* app) : Command(app) {
    app->add_option("file", file_, "what `failover --json` or `against --json` wrote")->required();
    app->add_option("--out", place_.directory, "the folder for data, script, PNG and SVG")->required();
    add_gnuplot(*app, place_);
    app->footer(plot_definitions);
  }

  int run(const std::vector<std::string>&, StopSignal&) override {
    std::ifstream input(file_);
    if (!input) return complain("cannot read " + file_);
    const auto report = nlohmann::json::parse(input, nullptr, false);
    if (report.is_discarded()) return complain(file_ + " is not JSON");
    if (auto ready = prepare_plots(place_); !ready) return complain(ready.error());
    return plot(place_, report);
  }

 private:
  std::string file_;
  PlotPlace place_;
};

}  // namespace

const char* const plot_definitions =
    R"(In the folder: plot.gp, which gnuplot draws all pictures with; throughput-SCENARIO.tsv, .png and .svg: commits a
second of all writers in steps of 10 ms from 1 s before the event to 3 s after it, the median of the runs and the
smallest and largest; gaps-SCENARIO.tsv, and gaps.png and gaps.svg: for each gap how many runs had none longer.
Exit status 3: the plots were not drawn, for want of gnuplot (package gnuplot-nox) for one; all else is well.)";

void add_gnuplot(CLI::App& app, PlotPlace& place) {
  app.add_option("--gnuplot", place.gnuplot, "the program that draws (package gnuplot-nox)")
      ->capture_default_str();
}

int plot(const PlotPlace& place, const nlohmann::json& report) {
  if (auto made = make_plots(place, report); !made) {
    complain(made.error());
    return status_no_plots;
  }
  say("plots are in " + place.directory.string());
  return 0;
}

std::unique_ptr<Command> add_plot_command(CLI::App& app) {
  return std::make_unique<PlotCommand>(app.add_subcommand("plot", "draws the runs of a result file"));
}

}  // namespace pointsman::bench
