#include "bench/plot.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

nlohmann::json installation(const std::string& scenario) {
  return {
      {"product", "mariadb"},
      {"semi_sync", "preferred"},
      {"clients", 4},
      {"scenarios",
       {{{"scenario", scenario},
         {"runs",
          {{{"gap_ms", 30.5}, {"timeline", {{"from_ms", -20}, {"each_ms", 10}, {"commits", "4x2 0 8"}}}},
           {{"gap_ms", 20}, {"timeline", {{"from_ms", -20}, {"each_ms", 10}, {"commits", "6x2 1 2"}}}}}}}}}};
}

// Runs become a band around their median, in commits a second, at the middle of each step.
TEST(Plot, Throughput) {
  const auto series = plot_series(installation("crash"));
  ASSERT_TRUE(series) << series.error();
  ASSERT_EQ(series->size(), 1U);
  EXPECT_EQ(series->front().title, "crash, mariadb, semi-sync preferred, 4 writers, 2 runs");
  EXPECT_EQ(throughput_tsv(series->front()),
            "# ms from the event\tsmallest\tmedian\tlargest (commits a second)\n"
            "-15.0\t400.0\t500.0\t600.0\n"
            "-5.0\t400.0\t500.0\t600.0\n"
            "5.0\t0.0\t50.0\t100.0\n"
            "15.0\t200.0\t500.0\t800.0\n");
}

// A run whose steps are others' is left out of the band rather than added to the wrong ones.
TEST(Plot, LeavesOtherStepsOut) {
  auto report = installation("crash");
  report["scenarios"][0]["runs"][1]["timeline"]["each_ms"] = 20;
  const auto series = plot_series(report);
  ASSERT_TRUE(series) << series.error();
  EXPECT_NE(throughput_tsv(series->front()).find("15.0\t800.0\t800.0\t800.0\n"), std::string::npos);
}

// Gaps in their order, with the share of the runs that had none longer.
TEST(Plot, Gaps) {
  const auto series = plot_series(installation("crash"));
  ASSERT_TRUE(series) << series.error();
  EXPECT_EQ(gaps_tsv(series->front()),
            "# gap (ms)\truns whose gap is not longer (percent)\n20.000\t50.00\n30.500\t100.00\n");
}

// Two installations that took turns are two series with names of their own.
TEST(Plot, TwoInstallations) {
  const auto series = plot_series(
      {{"without_agents", installation("crash")}, {"with_agents", installation("crash")}, {"machine", {}}});
  ASSERT_TRUE(series) << series.error();
  ASSERT_EQ(series->size(), 2U);
  EXPECT_EQ((*series)[0].name, "crash with agents");
  EXPECT_EQ((*series)[1].name, "crash without agents");
  EXPECT_EQ(plot_pictures(*series),
            (std::vector<std::string>{"throughput-crash-with-agents.png", "throughput-crash-with-agents.svg",
                                      "throughput-crash-without-agents.png",
                                      "throughput-crash-without-agents.svg", "gaps.png", "gaps.svg"}));
}

// Where nothing happens there are no gaps to draw.
TEST(Plot, WithoutGaps) {
  auto report = installation("cut-serial");
  for (auto& run : report["scenarios"][0]["runs"]) run.erase("gap_ms");
  const auto series = plot_series(report);
  ASSERT_TRUE(series) << series.error();
  EXPECT_EQ(plot_pictures(*series),
            (std::vector<std::string>{"throughput-cut-serial.png", "throughput-cut-serial.svg"}));
  for (const PlotFile& file : plot_files(*series)) {
    EXPECT_EQ(file.text.find("gaps"), std::string::npos) << file.name << "\n" << file.text;
  }
}

// A file that has not what is needed is refused with a reason; none of them ends the program.
TEST(Plot, RefusesOtherFiles) {
  auto old = installation("crash");
  old["scenarios"][0]["runs"][1].erase("timeline");
  const auto refused = plot_series(old);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("have no timelines"), std::string::npos) << refused.error();
  auto twice = installation("crash");
  twice["scenarios"].push_back(twice["scenarios"][0]);
  EXPECT_FALSE(plot_series(twice));
  auto none = installation("crash");
  none["scenarios"][0]["runs"].clear();
  for (const auto& json :
       {none, nlohmann::json::parse("[]"), nlohmann::json::parse("{}"), nlohmann::json::parse("3"),
        nlohmann::json::parse(R"({"scenarios": []})"), nlohmann::json::parse(R"({"scenarios": [1]})"),
        nlohmann::json::parse(R"({"scenarios": [{"scenario": 1, "runs": [1]}]})")}) {
    EXPECT_FALSE(plot_series(json)) << json.dump();
  }
}

// Names of a file become neither paths nor commands of gnuplot.
TEST(Plot, NamesAreHarmless) {
  EXPECT_EQ(slug_of("../Cut eth0'"), "cut-eth0");
  EXPECT_EQ(slug_of("///"), "unnamed");
  const auto series = plot_series(installation("a'; system 'touch /tmp/x'\nplot"));
  ASSERT_TRUE(series) << series.error();
  const auto files = plot_files(*series);
  const auto script = std::ranges::find(files, plot_script_name, &PlotFile::name);
  ASSERT_NE(script, files.end());
  EXPECT_NE(script->text.find("set title 'a''; system ''touch /tmp/x'' plot, mariadb"), std::string::npos)
      << script->text;
}

}  // namespace
}  // namespace pointsman::bench
