#include <algorithm>

#include "bench/command.h"
#include "bench/false_death.h"
#include "bench/serial_load.h"

namespace pointsman::bench {

namespace {

class FalseDeathCommand : public Command {
 public:
  explicit FalseDeathCommand(CLI::App* app) : Command(app) {
    add_product(*app, product_);
    app->add_option("--minutes", minutes_, "how long")
        ->check(CLI::Range(0.05, 1440.0))
        ->capture_default_str();
    app->add_flag("--load,!--no-load", options_.load, "all cores busy meanwhile (default)");
    app->add_flag("--flood", options_.flood,
                  "forged heartbeats and noise on the daemon's UDP port, as fast as they can be sent");
    app->add_option("--threads", options_.threads, "busy threads; default one a core")
        ->check(CLI::Range(1, 1024));
    app->add_option("--clients", options_.clients, "writers through the proxy; default none")
        ->check(CLI::Range(0, 500));
    app->add_option("--json", json_, "writes all to this file");
    app->add_option("--work-dir", options_.work_directory,
                    "an empty or new folder for servers and logs, which are kept");
    add_wishes(*app, wishes_);
    app->footer(
        "Default: deadtime 300 ms, keepalive 50 ms, lease 150 ms. Exit status 1 when a verdict changed, a "
        "lease was\n"
        "lost or the primary changed, although nothing was wrong.");
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    const auto setup = setup_for_heartbeats(Speed::fast, wishes_);
    if (!setup) return complain(setup.error());
    options_.product = *testbed::parse_product(product_);
    options_.time =
        std::chrono::round<std::chrono::seconds>(std::chrono::duration<double, std::ratio<60>>(minutes_));
    auto report = Report::open(json_, "false-death", options_.product, command_line);
    if (!report) return complain(report.error());
    const auto result = watch_for_false_death(options_, *setup, [&stop] { return stop.asked(); }, say);
    auto json = to_json(result);
    json["setup"] = to_json(*setup);
    return report->finish(false_death_text(options_, *setup, result), json, why_false_death(result));
  }

 private:
  std::string product_ = "mariadb";
  double minutes_ = 10;
  std::string json_;
  Wishes wishes_;
  FalseDeathOptions options_;
};

class SerialLoadCommand : public Command {
 public:
  explicit SerialLoadCommand(CLI::App* app) : Command(app) {
    add_product(*app, product_);
    app->add_option("--seconds", seconds_, "idle, and as long under writes")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    app->add_option("--clients", options_.clients, "writers")
        ->check(CLI::Range(1, 500))
        ->capture_default_str();
    app->add_option("--json", json_, "writes all to this file");
    app->add_option("--work-dir", options_.work_directory,
                    "an empty or new folder for servers and logs, which are kept");
    add_wishes(*app, wishes_);
    app->footer(
        "Default: the configuration's own times, 19200 baud. Exit status 1 from 60 % in a direction on.");
  }

  int run(const std::vector<std::string>& command_line, StopSignal& stop) override {
    const auto setup = setup_for_heartbeats(Speed::usual, wishes_);
    if (!setup) return complain(setup.error());
    if (!setup->serial) return complain("there is no serial line to measure");
    options_.product = *testbed::parse_product(product_);
    options_.time = std::chrono::seconds(seconds_);
    auto report = Report::open(json_, "serial-load", options_.product, command_line);
    if (!report) return complain(report.error());
    const auto loads = measure_serial_load(options_, *setup, [&stop] { return stop.asked(); }, say);
    if (!loads) return report->finish("", {}, loads.error());
    nlohmann::json lines = nlohmann::json::array();
    for (const LineLoad& load : *loads) lines.push_back(to_json(load));
    const bool full =
        std::ranges::any_of(*loads, [](const LineLoad& load) { return load.share >= highest_line_load; });
    return report->finish(serial_load_text(*setup, *loads), {{"setup", to_json(*setup)}, {"lines", lines}},
                          full ? "a line is too full" : "");
  }

 private:
  std::string product_ = "mariadb";
  unsigned seconds_ = 10;
  std::string json_;
  Wishes wishes_;
  SerialLoadOptions options_;
};

}  // namespace

std::unique_ptr<Command> add_false_death_command(CLI::App& app) {
  return std::make_unique<FalseDeathCommand>(
      app.add_subcommand("false-death", "whether a machine under load is taken for a dead one"));
}

std::unique_ptr<Command> add_serial_load_command(CLI::App& app) {
  return std::make_unique<SerialLoadCommand>(
      app.add_subcommand("serial-load", "how much of a serial line heartbeats take"));
}

}  // namespace pointsman::bench
