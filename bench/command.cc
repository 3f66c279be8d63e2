#include "bench/command.h"

#include <cstdio>
#include <utility>

#include "bench/machine.h"
#include "conf/duration.h"

namespace pointsman::bench {

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

int complain(const std::string& text) {
  say("pointsman-bench: " + text);
  return 1;
}

void add_writers(CLI::App& app, unsigned& clients, std::optional<unsigned>& rate, Pace& pace) {
  app.add_option("--clients", clients, "writers, a thread and a connection each")
      ->check(CLI::Range(1, 5000))
      ->capture_default_str();
  auto* on_schedule = app.add_option_function<unsigned>(
                             "--rate", [&rate](unsigned wanted) { rate = wanted; },
                             "commits a second of all writers, on schedule; the table then has latencies")
                          ->check(CLI::Range(1, 100000));
  const auto add_pause = [&app](const char* name, std::chrono::milliseconds& pause, const char* what) {
    return app
        .add_option_function<unsigned>(
            name, [&pause](unsigned ms) { pause = std::chrono::milliseconds(ms); }, what)
        ->check(CLI::Range(0, 10000))
        ->default_str(std::to_string(pause.count()));
  };
  add_pause("--think", pace.think_time, "pause of a writer after each commit, in ms")->excludes(on_schedule);
  add_pause("--reconnect-ms", pace.retry_pause,
            "pause of a writer after each try to connect that failed; the first is made at once");
}

std::optional<std::string> rate_fault(const std::optional<unsigned>& rate, unsigned clients) {
  if (!rate || *rate >= clients) return std::nullopt;
  return "--rate must be at least --clients: a commit a second of each writer";
}

void add_product(CLI::App& app, std::string& product) {
  app.add_option("--product", product, "the servers")
      ->check(CLI::IsMember({"mariadb", "mysql"}))
      ->capture_default_str();
}

void add_wishes(CLI::App& app, Wishes& wishes) {
  const std::string group = "Installation (default: the scenario's own)";
  app.add_flag_function(
         "--agents,!--no-agents", [&wishes](std::int64_t on) { wishes.agents = on > 0; },
         "agents beside the servers, with heartbeats")
      ->group(group);
  app.add_flag_function(
         "--network,!--no-network", [&wishes](std::int64_t on) { wishes.network = on > 0; },
         "each host a network namespace (for root), not all on 127.0.0.1")
      ->group(group);
  app.add_option_function<std::vector<std::string>>(
         "--links", [&wishes](const std::vector<std::string>& links) { wishes.links = links; },
         "of the agents: udp, serial")
      ->delimiter(',')
      ->check(CLI::IsMember({"udp", "serial"}))
      ->group(group);
  app.add_option_function<unsigned>(
         "--serial-baud", [&wishes](unsigned baud) { wishes.baud = baud; },
         "speed of the lines; default the slowest that the keepalive allows, from 19200 on")
      ->check(CLI::Range(1200, 921600))
      ->group(group);
  const auto add_time = [&](const char* name, const char* what, std::optional<Setup::Millis> Wishes::* wish) {
    app.add_option_function<std::string>(
           name,
           [&wishes, wish, name](const std::string& text) {
             const auto time = conf::parse_duration(text);
             if (!time) throw CLI::ValidationError(name, time.error());
             const auto millis = std::chrono::duration_cast<Setup::Millis>(*time);
             if (millis != *time) throw CLI::ValidationError(name, "whole milliseconds only");
             wishes.*wish = millis;
           },
           what)
        ->type_name("TIME")
        ->group(group);
  };
  add_time("--keepalive", "heartbeat.keepalive, e.g. 50ms", &Wishes::keepalive);
  add_time("--warntime", "heartbeat.warntime", &Wishes::warntime);
  add_time("--deadtime", "heartbeat.deadtime; warntime and lease shrink with it", &Wishes::deadtime);
  add_time("--lease", "heartbeat.lease", &Wishes::lease);
  add_time("--interval", "monitor.interval", &Wishes::interval);
  add_time("--timeout", "monitor.timeout", &Wishes::timeout);
  add_time("--ping-timeout", "mysql.ping_timeout of the agents", &Wishes::ping_timeout);
}

std::expected<Report, std::string> Report::open(std::string path, const std::string& benchmark,
                                                testbed::Product product,
                                                const std::vector<std::string>& command_line) {
  return open(std::move(path), benchmark, server_version(product), command_line);
}

std::expected<Report, std::string> Report::open(std::string path, const std::string& benchmark,
                                                const std::string& server,
                                                const std::vector<std::string>& command_line) {
  Report report;
  report.path_ = std::move(path);
  report.report_ = {{"benchmark", benchmark}, {"machine", describe_machine(command_line)}};
  report.report_["machine"]["server"] = server;
  if (report.path_.empty()) return report;
  if (auto written = write_json(report.path_, report.report_); !written)
    return std::unexpected(written.error());
  return report;
}

std::expected<void, std::string> Report::plot_into(PlotPlace place) {
  if (auto ready = prepare_plots(place); !ready) return ready;
  // The data are worth measuring without it; who wants the pictures may still install it meanwhile.
  if (auto found = find_gnuplot(place); !found) say(found.error());
  plots_ = std::move(place);
  return {};
}

int Report::finish(const std::string& text, const nlohmann::json& result, const std::string& error) {
  const auto& machine = report_["machine"];
  std::printf("%s\n%s, pointsman %s\n\n%s", machine_line(machine).c_str(),
              machine.value("server", "").c_str(), POINTSMAN_VERSION, text.c_str());
  std::fflush(stdout);
  report_.update(result);
  if (!error.empty()) report_["error"] = error;
  if (!path_.empty()) {
    if (auto written = write_json(path_, report_); !written) return complain(written.error());
  }
  const int drawn = plots_.directory.empty() ? 0 : plot(plots_, report_);
  return error.empty() ? drawn : complain(error);
}

}  // namespace pointsman::bench
