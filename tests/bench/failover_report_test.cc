#include "bench/failover_report.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

FailoverRun a_run(Scenario scenario, double gap_ms) {
  FailoverRun run;
  run.scenario = scenario;
  run.gap_ms = gap_ms;
  run.rejoined = true;
  run.change = nlohmann::json::parse(
      R"({"kind":"failover","total_ms":8.5,"steps":[{"name":"fence","ms":0.5},{"name":"promote","ms":7.25}]})");
  return run;
}

std::optional<FailoverRow> row_named(const std::vector<FailoverRow>& rows, const std::string& name) {
  for (const FailoverRow& row : rows) {
    if (row.name == name) return row;
  }
  return std::nullopt;
}

// The daemon's steps become rows of the table, one value a run; a step that only some runs had has fewer.
TEST(FailoverReport, StepsBecomeRows) {
  std::vector<FailoverRun> runs{a_run(Scenario::crash, 20), a_run(Scenario::crash, 30)};
  runs[1].change["steps"].push_back({{"name", "repoint"}, {"ms", 2}});
  const auto rows = failover_rows(runs);
  ASSERT_TRUE(row_named(rows, "step promote"));
  EXPECT_EQ(row_named(rows, "step promote")->values_ms, (std::vector<double>{7.25, 7.25}));
  EXPECT_EQ(row_named(rows, "step repoint")->values_ms, (std::vector<double>{2}));
  EXPECT_EQ(row_named(rows, "gap")->values_ms, (std::vector<double>{20, 30}));
  EXPECT_EQ(row_named(rows, "total of the daemon")->values_ms, (std::vector<double>{8.5, 8.5}));
}

// Missing rows and servers that had to be rebuilt are told, for each scenario by itself.
TEST(FailoverReport, TellsLossAndRebuilds) {
  FailoverOptions options;
  options.scenarios = {Scenario::crash, Scenario::freeze};
  std::vector<FailoverRun> runs{a_run(Scenario::crash, 20), a_run(Scenario::freeze, 1000)};
  runs[0].acknowledged = 1234;
  runs[0].missing = 2;
  runs[1].rejoined = false;
  runs[1].quarantined = true;
  const std::string text = failover_text(options, runs);
  EXPECT_NE(text.find("crash, mariadb, semi-sync preferred, 4 writers, 1 runs"), std::string::npos) << text;
  EXPECT_NE(
      text.find(
          "1,234 rows acknowledged, 2 missing on the new primary; rejoined by itself 1 of 1, quarantined "
          "and rebuilt 0"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("rejoined by itself 0 of 1, quarantined and rebuilt 1"), std::string::npos) << text;
  EXPECT_EQ(total_missing(runs), 2U);
}

// A record without times (an older daemon, a run that ended early) leaves rows out and breaks nothing.
TEST(FailoverReport, RecordWithoutSteps) {
  FailoverRun run = a_run(Scenario::crash, 20);
  run.change = nlohmann::json::object();
  const std::vector<FailoverRun> runs{run};
  EXPECT_FALSE(row_named(failover_rows(runs), "step promote"));
  EXPECT_TRUE(row_named(failover_rows(runs), "total of the daemon")->values_ms.empty());
  EXPECT_EQ(failover_json({}, runs)["scenarios"][0]["runs"].size(), 1U);
}

}  // namespace
}  // namespace pointsman::bench
