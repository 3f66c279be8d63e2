#pragma once

#include <expected>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/timeline.h"

// Plots of the runs of a result file: commits over time around the event, and the gaps in their order. What
// gnuplot is given, as text. Pure; plot_files.h writes it and lets gnuplot draw.
namespace pointsman::bench {

// All runs of one scenario on one installation.
struct PlotSeries {
  std::string name;   // "crash", "crash with agents"
  std::string title;  // the same and what it was measured with
  std::vector<Timeline> timelines;
  std::vector<double> gaps_ms;  // sorted; empty where nothing may happen (cut-serial)
};

// Of what `--json` writes, both kinds: one installation, or two that took turns. Error: it holds no runs, or
// none with a timeline, as those made before timelines were kept.
std::expected<std::vector<PlotSeries>, std::string> plot_series(const nlohmann::json& report);

// Part of file names: lower-case letters, digits and hyphens.
std::string slug_of(const std::string& name);

// ms from the event, then the smallest, the median and the largest of all runs, in commits a second.
// Only what all runs have: the first timeline's times.
std::string throughput_tsv(const PlotSeries& series);
// A gap in ms, and the share of the runs (percent) whose gap is not longer.
std::string gaps_tsv(const PlotSeries& series);

struct PlotFile {
  std::string name;
  std::string text;
};
// The data and the script, which draws PNG and SVG into the folder that it is run in.
std::vector<PlotFile> plot_files(std::span<const PlotSeries> series);
inline constexpr const char* plot_script_name = "plot.gp";
// What the script draws: "throughput-crash.png", ..., "gaps.svg".
std::vector<std::string> plot_pictures(std::span<const PlotSeries> series);

}  // namespace pointsman::bench
