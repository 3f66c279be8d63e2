#include "bench/plot_files.h"

#include <system_error>

#include "bench/plot.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::bench {

namespace fs = std::filesystem;

namespace {

using Outcome = std::expected<void, std::string>;

constexpr testbed::Millis answer_timeout{10000};
constexpr testbed::Millis draw_timeout{120000};
constexpr unsigned plot_mode = 0644;

}  // namespace

Outcome prepare_plots(const PlotPlace& place) {
  std::error_code error;
  fs::create_directories(place.directory, error);
  if (error)
    return std::unexpected("cannot make the folder " + place.directory.string() + ": " + error.message());
  return testbed::write_file(place.directory / plot_script_name, "# not measured yet\n", plot_mode);
}

Outcome find_gnuplot(const PlotPlace& place) {
  const auto told = testbed::run({.argv = {place.gnuplot, "--version"}}, answer_timeout);
  if (told && told->code == 0) return {};
  return std::unexpected((told ? place.gnuplot + " does not work: " + told->err : told.error()) +
                         "; install it with: apt-get install gnuplot-nox");
}

Outcome make_plots(const PlotPlace& place, const nlohmann::json& report) {
  const auto series = plot_series(report);
  if (!series) return std::unexpected("no plots: " + series.error());
  for (const PlotFile& file : plot_files(*series)) {
    if (auto written = testbed::write_file(place.directory / file.name, file.text, plot_mode); !written)
      return written;
  }
  const std::string rest =
      "; the data and " + std::string(plot_script_name) + " are in " + place.directory.string();
  if (auto found = find_gnuplot(place); !found)
    return std::unexpected("no pictures: " + found.error() + rest);
  const auto drawn =
      testbed::run({.argv = {place.gnuplot, plot_script_name}, .directory = place.directory}, draw_timeout);
  if (!drawn) return std::unexpected(drawn.error() + rest);
  if (drawn->code != 0) {
    return std::unexpected("no pictures: gnuplot " +
                           (drawn->timed_out ? "does not end" : "says: " + drawn->err) + rest);
  }
  for (const std::string& name : plot_pictures(*series)) {
    std::error_code error;
    if (fs::file_size(place.directory / name, error) == 0 || error)
      return std::unexpected("gnuplot left no " + name + rest);
  }
  return {};
}

}  // namespace pointsman::bench
