// gnuplot itself draws.
#include "bench/plot_files.h"

#include <array>
#include <cstdint>
#include <string_view>

#include <gtest/gtest.h>

#include "bench/failover_report.h"
#include "tests/testbed/files.h"

namespace pointsman::bench {
namespace {

namespace fs = std::filesystem;

// Two small scenarios as the benchmark records them, of two runs and of one.
nlohmann::json recorded() {
  std::vector<FailoverRun> runs(3);
  for (unsigned i = 0; i < runs.size(); ++i) {
    FailoverRun& run = runs[i];
    run.scenario = i < 2 ? Scenario::crash : Scenario::switchover;
    run.gap_ms = 20.0 + 10 * i;
    run.change = nlohmann::json::object();
    run.timeline = {.from_ms = -1000, .each_ms = 10, .counts = std::vector<unsigned>(400, 20 + i)};
    for (std::size_t bin = 100; bin < 103; ++bin) run.timeline.counts[bin] = 0;
  }
  FailoverOptions options;
  options.scenarios = {Scenario::crash, Scenario::switchover};
  return failover_json(options, runs);
}

std::string content(const fs::path& path) {
  return testbed::read_tail(path, 1U << 24U);
}

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

// Whole: it begins and ends as it must, and has the size that was asked for.
void expect_png(const fs::path& path) {
  const std::string bytes = content(path);
  ASSERT_GT(bytes.size(), 1000U) << path;
  EXPECT_TRUE(bytes.starts_with("\x89PNG\r\n\x1a\n")) << path;
  EXPECT_EQ(bytes.substr(12, 4), "IHDR") << path;
  EXPECT_EQ(big_endian(std::string_view(bytes).substr(16)), 1200U) << path;
  EXPECT_EQ(big_endian(std::string_view(bytes).substr(20)), 600U) << path;
  EXPECT_EQ(bytes.substr(bytes.size() - 8, 4), "IEND") << path;
}

void expect_svg(const fs::path& path, const std::string& text) {
  const std::string svg = content(path);
  EXPECT_NE(svg.find("<svg"), std::string::npos) << path;
  EXPECT_NE(svg.find("</svg>"), std::string::npos) << path;
  EXPECT_NE(svg.find("<path"), std::string::npos) << path << " has no curve";
  EXPECT_NE(svg.find(text), std::string::npos) << path << " does not say " << text;
}

// A small recorded result becomes pictures in both formats, and again from the same folder.
TEST(PlotFiles, DrawsPngAndSvg) {
  const auto folder = testbed::TempDirectory::create("plots");
  ASSERT_TRUE(folder) << folder.error();
  const PlotPlace place{.directory = folder->path() / "new" / "plots"};
  const auto ready = prepare_plots(place);
  ASSERT_TRUE(ready) << ready.error();
  for (int times = 0; times < 2; ++times) {
    const auto made = make_plots(place, recorded());
    ASSERT_TRUE(made) << made.error();
  }
  for (const char* name : {"throughput-crash", "throughput-switchover", "gaps"}) {
    expect_png(place.directory / (std::string(name) + ".png"));
  }
  expect_svg(place.directory / "throughput-crash.svg",
             "crash, mariadb, semi-sync preferred, 4 writers, 2 runs");
  expect_svg(place.directory / "throughput-crash.svg", "commits a second");
  expect_svg(place.directory / "gaps.svg", "switchover, mariadb");
}

// Without gnuplot the error names the package, and data and script are there for a machine that has it.
TEST(PlotFiles, SaysWhatIsMissing) {
  const auto folder = testbed::TempDirectory::create("plots");
  ASSERT_TRUE(folder) << folder.error();
  const PlotPlace place{.directory = folder->path(), .gnuplot = "no-such-gnuplot"};
  const auto made = make_plots(place, recorded());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().find("gnuplot-nox"), std::string::npos) << made.error();
  EXPECT_NE(made.error().find(folder->path().string()), std::string::npos) << made.error();
  EXPECT_NE(content(folder->path() / "plot.gp").find("throughput-crash.tsv"), std::string::npos);
  EXPECT_NE(content(folder->path() / "gaps-crash.tsv").find("20.000\t50.00\n30.000\t100.00\n"),
            std::string::npos);
}

// A program that is no gnuplot, or one that fails at the script, is told with its words.
TEST(PlotFiles, SaysWhatFailed) {
  const auto folder = testbed::TempDirectory::create("plots");
  ASSERT_TRUE(folder) << folder.error();
  const fs::path program = folder->path() / "gnuplot";
  ASSERT_TRUE(testbed::write_file(
      program, "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'line 3: no such terminal' >&2\nexit 1\n",
      0700));
  const auto made = make_plots({.directory = folder->path(), .gnuplot = program.string()}, recorded());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().find("line 3: no such terminal"), std::string::npos) << made.error();
  ASSERT_TRUE(testbed::write_file(program, "#!/bin/sh\nexit 0\n", 0700));
  const auto nothing = make_plots({.directory = folder->path(), .gnuplot = program.string()}, recorded());
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().find("left no throughput-crash.png"), std::string::npos) << nothing.error();
}

// A folder that cannot be made is told before anything is measured.
TEST(PlotFiles, RefusesAPlaceThatIsNone) {
  EXPECT_FALSE(prepare_plots({.directory = "/dev/null/plots"}));
}

}  // namespace
}  // namespace pointsman::bench
