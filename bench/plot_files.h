#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace pointsman::bench {

struct PlotPlace {
  std::filesystem::path directory{};  // "": no plots
  std::string gnuplot = "gnuplot";    // the program; without a slash looked up in PATH
};

// Makes the folder, before a measurement: one that cannot be written shall not cost half an hour.
std::expected<void, std::string> prepare_plots(const PlotPlace& place);
// Whether the program answers. Error: a sentence that names the package to install.
std::expected<void, std::string> find_gnuplot(const PlotPlace& place);

// Data files and script of a report as --json has it, and with gnuplot PNG and SVG. Error: what was not
// written or drawn; data and script are there when only drawing failed.
std::expected<void, std::string> make_plots(const PlotPlace& place, const nlohmann::json& report);

}  // namespace pointsman::bench
