#include "bench/plot.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include "bench/statistics.h"

namespace pointsman::bench {

namespace {

using nlohmann::json;

constexpr std::array formats{"png", "svg"};

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->dump() : "?";
}

std::string format(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

// A text for gnuplot, between single quotes; control characters have no place in a title.
std::string quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return quoted + "'";
}

std::expected<PlotSeries, std::string> series_of(const json& scenario, const json& installation,
                                                 const std::string& which) {
  PlotSeries series;
  series.name = text_of(scenario, "scenario") + (which.empty() ? "" : " " + which);
  const auto runs = scenario.find("runs");
  if (runs == scenario.end() || !runs->is_array() || runs->empty())
    return std::unexpected(series.name + " has no runs");
  for (const json& run : *runs) {
    if (!run.is_object() || !run.contains("timeline")) {
      return std::unexpected("the runs of " + series.name +
                             " have no timelines: the file was made before they were kept");
    }
    auto timeline = timeline_from(run["timeline"]);
    if (!timeline) return std::unexpected(series.name + ": " + timeline.error());
    series.timelines.push_back(std::move(*timeline));
    if (const auto gap = run.find("gap_ms"); gap != run.end() && gap->is_number())
      series.gaps_ms.push_back(gap->get<double>());
  }
  std::ranges::sort(series.gaps_ms);
  series.title = series.name;
  for (const char* key : {"product", "semi_sync"}) {
    if (const std::string text = text_of(installation, key); !text.empty())
      series.title += (key == std::string("semi_sync") ? ", semi-sync " : ", ") + text;
  }
  series.title +=
      ", " + number_of(installation, "clients") + " writers, " + std::to_string(runs->size()) + " runs";
  return series;
}

// The script's part that all pictures have in common.
const char* const script_head =
    "# Draws with: gnuplot plot.gp, in this folder.\n"
    "set datafile separator tab\n"
    "set grid\n"
    "set key outside top center noenhanced\n"
    "set border 3\n"
    "set tics nomirror\n";

void set_output(std::string& script, const std::string& format, const std::string& name) {
  script += format == "png" ? "set terminal pngcairo noenhanced size 1200,600 background rgb 'white'\n"
                            : "set terminal svg noenhanced size 1200,600 background rgb 'white'\n";
  script += "set output " + quoted(name + "." + format) + "\n";
}

std::string throughput_name(const PlotSeries& series) {
  return "throughput-" + slug_of(series.name);
}

std::string gaps_name(const PlotSeries& series) {
  return "gaps-" + slug_of(series.name);
}

bool has_gaps(std::span<const PlotSeries> all) {
  return std::ranges::any_of(all, [](const PlotSeries& series) { return !series.gaps_ms.empty(); });
}

std::string throughput_script(const PlotSeries& series) {
  const std::string file = quoted(throughput_name(series) + ".tsv");
  std::string script = "\nset title " + quoted(series.title) +
                       " noenhanced\n"
                       "set xlabel 'ms from the event'\n"
                       "set ylabel 'commits a second, all writers'\n"
                       "set yrange [0:*]\n"
                       "set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead lc rgb '#cc3311' dt 2\n";
  for (const char* format : formats) {
    set_output(script, format, throughput_name(series));
    script += "plot " + file +
              " using 1:2:4 with filledcurves lc rgb '#bbccee' title 'smallest to largest of the runs', \\\n"
              "  " +
              file + " using 1:3 with lines lw 1.5 lc rgb '#004488' title 'median of the runs', \\\n" +
              "  NaN with lines lc rgb '#cc3311' dt 2 title 'the event'\n";
  }
  return script +
         "unset output\n"
         "unset arrow 1\n";
}

// What a logarithmic axis names: 1, 2 and 5 of each decade from 0.1 ms to an hour and more.
std::string decades() {
  std::string tics;
  for (const char* zeros : {"", "0", "00", "000", "0000", "00000", "000000"}) {
    for (const char* digit : {"1", "2", "5"}) tics += (tics.empty() ? "" : ", ") + std::string(digit) + zeros;
  }
  return "set xtics (0.1, 0.2, 0.5, " + tics + ")\n";
}

// The horizontal axis is logarithmic: scenarios lie far apart. A gap of zero has no place on it and is drawn
// at a tenth of a millisecond, below which nothing is told apart here.
std::string gaps_script(std::span<const PlotSeries> all) {
  std::string script =
      "\nset title 'gaps: how many runs had none longer' noenhanced\n"
      "set xlabel 'gap, ms'\n"
      "set ylabel 'runs, percent'\n"
      "set yrange [0:105]\n"
      "set logscale x\n" +
      decades();
  for (const char* format : formats) {
    set_output(script, format, "gaps");
    std::string curves;
    for (const PlotSeries& series : all) {
      if (series.gaps_ms.empty()) continue;
      curves += (curves.empty() ? "plot " : ", \\\n  ") + quoted(gaps_name(series) + ".tsv") +
                " using ($1 > 0.1 ? $1 : 0.1):2 with linespoints pt 7 ps 0.6 lw 1.5 title " +
                quoted(series.title);
    }
    script += curves + "\n";
  }
  return script + "unset output\n";
}

}  // namespace

std::string slug_of(const std::string& name) {
  std::string slug;
  for (const char c : name) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      slug += c;
    } else if (c >= 'A' && c <= 'Z') {
      slug += static_cast<char>(c - 'A' + 'a');
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  while (slug.ends_with('-')) slug.pop_back();
  return slug.empty() ? "unnamed" : slug.substr(0, 100);
}

std::expected<std::vector<PlotSeries>, std::string> plot_series(const nlohmann::json& report) {
  std::vector<PlotSeries> all;
  const auto add = [&all](const json& installation,
                          const std::string& which) -> std::expected<void, std::string> {
    for (const json& scenario : installation["scenarios"]) {
      if (!scenario.is_object()) return std::unexpected("a scenario that is no object");
      auto series = series_of(scenario, installation, which);
      if (!series) return std::unexpected(series.error());
      all.push_back(std::move(*series));
    }
    return {};
  };
  const auto has_scenarios = [](const json& installation) {
    const auto found = installation.is_object() ? installation.find("scenarios") : installation.end();
    return installation.is_object() && found != installation.end() && found->is_array();
  };
  if (has_scenarios(report)) {
    if (auto added = add(report, ""); !added) return std::unexpected(added.error());
  } else if (report.is_object()) {
    for (const auto& [key, installation] : report.items()) {  // "without_agents", "with_agents"
      if (!has_scenarios(installation)) continue;
      std::string which = key;
      std::ranges::replace(which, '_', ' ');
      if (auto added = add(installation, which); !added) return std::unexpected(added.error());
    }
  }
  if (all.empty()) return std::unexpected("there are no runs of scenarios");
  // Two files of one name would be one.
  std::vector<std::string> slugs;
  for (const PlotSeries& series : all) {
    const std::string slug = slug_of(series.name);
    if (std::ranges::find(slugs, slug) != slugs.end())
      return std::unexpected("two scenarios are called " + slug);
    slugs.push_back(slug);
  }
  return all;
}

std::string throughput_tsv(const PlotSeries& series) {
  std::string text = "# ms from the event\tsmallest\tmedian\tlargest (commits a second)\n";
  if (series.timelines.empty()) return text;
  const Timeline& first = series.timelines.front();
  for (std::size_t i = 0; i < first.counts.size(); ++i) {
    std::vector<double> rates;
    for (const Timeline& timeline : series.timelines) {
      if (timeline.from_ms != first.from_ms || timeline.each_ms != first.each_ms ||
          i >= timeline.counts.size())
        continue;
      rates.push_back(timeline.counts[i] * 1000.0 / timeline.each_ms);
    }
    const auto summary = summarise(rates);
    const double ms = first.from_ms + (static_cast<double>(i) + 0.5) * first.each_ms;
    text += format(ms, 1) + "\t" + format(summary->min, 1) + "\t" + format(summary->median, 1) + "\t" +
            format(summary->max, 1) + "\n";
  }
  return text;
}

std::string gaps_tsv(const PlotSeries& series) {
  std::string text = "# gap (ms)\truns whose gap is not longer (percent)\n";
  for (std::size_t i = 0; i < series.gaps_ms.size(); ++i) {
    const double share = 100.0 * static_cast<double>(i + 1) / static_cast<double>(series.gaps_ms.size());
    text += format(series.gaps_ms[i], 3) + "\t" + format(share, 2) + "\n";
  }
  return text;
}

std::vector<PlotFile> plot_files(std::span<const PlotSeries> series) {
  std::vector<PlotFile> files;
  std::string script = script_head;
  for (const PlotSeries& one : series) {
    files.push_back({throughput_name(one) + ".tsv", throughput_tsv(one)});
    if (!one.gaps_ms.empty()) files.push_back({gaps_name(one) + ".tsv", gaps_tsv(one)});
    script += throughput_script(one);
  }
  if (has_gaps(series)) script += gaps_script(series);
  files.push_back({plot_script_name, script});
  return files;
}

std::vector<std::string> plot_pictures(std::span<const PlotSeries> series) {
  std::vector<std::string> names;
  for (const PlotSeries& one : series) {
    for (const char* format : formats) names.push_back(throughput_name(one) + "." + format);
  }
  if (!has_gaps(series)) return names;
  for (const char* format : formats) names.push_back(std::string("gaps.") + format);
  return names;
}

}  // namespace pointsman::bench
