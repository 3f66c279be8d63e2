#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/plot_files.h"
#include "bench/scenario.h"
#include "bench/stop_signal.h"
#include "bench/writer.h"

// The subcommands of pointsman-bench: their options, their output, their exit status.
namespace pointsman::bench {

class Command {
 public:
  virtual ~Command() = default;
  // With the command line as it was given, for the record. Exit status.
  virtual int run(const std::vector<std::string>& command_line, StopSignal& stop) = 0;
  bool parsed() const { return app_->parsed(); }

 protected:
  explicit Command(CLI::App* app) : app_(app) {}
  CLI::App* app_;  // owned by the application
};

std::unique_ptr<Command> add_failover_command(CLI::App& app);
std::unique_ptr<Command> add_against_command(CLI::App& app);
std::unique_ptr<Command> add_plot_command(CLI::App& app);
std::unique_ptr<Command> add_relay_command(CLI::App& app);
std::unique_ptr<Command> add_relay_cost_command(CLI::App& app);
std::unique_ptr<Command> add_false_death_command(CLI::App& app);
std::unique_ptr<Command> add_serial_load_command(CLI::App& app);
std::unique_ptr<Command> add_chaos_command(CLI::App& app);

// A line for a person, on standard error.
void say(const std::string& line);
int complain(const std::string& text);  // 1

// --agents, --links, --deadtime and so on, into `wishes`, which outlives the parsing.
void add_wishes(CLI::App& app, Wishes& wishes);
// The plots were asked for and not drawn.
inline constexpr int status_no_plots = 3;
extern const char* const plot_definitions;  // part of --help
void add_gnuplot(CLI::App& app, PlotPlace& place);
// Makes the plots of a report as --json has it, and says so; exit status.
int plot(const PlotPlace& place, const nlohmann::json& report);
// --clients, --rate, --think and --reconnect-ms, into what outlives the parsing.
void add_writers(CLI::App& app, unsigned& clients, std::optional<unsigned>& rate, Pace& pace);
// What is wrong with a rate for so many writers; nullopt: nothing.
std::optional<std::string> rate_fault(const std::optional<unsigned>& rate, unsigned clients);
void add_product(CLI::App& app, std::string& product);

// What a benchmark has to say: the head and the text on standard output, all of it in a file.
class Report {
 public:
  // The file is opened before the measurement: a path that cannot be written shall not cost half an hour.
  // "": none.
  static std::expected<Report, std::string> open(std::string path, const std::string& benchmark,
                                                 testbed::Product product,
                                                 const std::vector<std::string>& command_line);
  // The same for servers that are told otherwise.
  static std::expected<Report, std::string> open(std::string path, const std::string& benchmark,
                                                 const std::string& server,
                                                 const std::vector<std::string>& command_line);
  // A folder for plots, too, which is made now.
  std::expected<void, std::string> plot_into(PlotPlace place);
  // Prints, writes and draws. The exit status: 1, with `error` told, when there is one.
  int finish(const std::string& text, const nlohmann::json& result, const std::string& error);

 private:
  std::string path_;
  PlotPlace plots_;
  nlohmann::json report_;
};

}  // namespace pointsman::bench
