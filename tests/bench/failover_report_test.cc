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

// What the old primaries came back with, in all and at most.
TEST(FailoverReport, TellsWhatWasTakenBack) {
  FailoverOptions options;
  std::vector<FailoverRun> runs{a_run(Scenario::crash, 20), a_run(Scenario::crash, 20),
                                a_run(Scenario::crash, 20)};
  EXPECT_NE(failover_text(options, runs).find("nothing had to be taken back"), std::string::npos);
  runs[0].taken_back = 3;
  runs[2].taken_back = 7;
  const std::string text = failover_text(options, runs);
  EXPECT_NE(text.find("had an answer to 2 of 3, saved and taken back: 10, at most 7 at once"),
            std::string::npos)
      << text;
  const auto json = failover_json(options, runs)["scenarios"][0];
  EXPECT_EQ(json["rejoined_by_itself"], 3);
  EXPECT_EQ(json["came_back_with_a_tail"], 2);
  EXPECT_EQ(json["runs"][2]["taken_back"], 7);
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

// Where nothing may happen the table has pauses instead of gaps, and the links that were down are told when
// they are not the one that was cut.
TEST(FailoverReport, TellsWhenNothingHappened) {
  FailoverOptions options;
  options.scenarios = {Scenario::cut_serial};
  std::vector<FailoverRun> runs(2);
  for (FailoverRun& run : runs) {
    run.scenario = Scenario::cut_serial;
    run.calm.emplace();
    run.calm->pause_ms = 12;
    run.calm->links_down = {"db1 serial dead"};
  }
  runs[1].number = 2;
  runs[1].calm->links_down.emplace_back("db1 udp late");
  EXPECT_FALSE(row_named(failover_rows(runs), "gap"));
  EXPECT_EQ(row_named(failover_rows(runs), "longest pause")->values_ms, (std::vector<double>{12, 12}));
  const std::string text = failover_text(options, runs);
  EXPECT_NE(text.find("exactly one link reported dead in 1 of 2"), std::string::npos) << text;
  EXPECT_NE(text.find("run 2: db1 serial dead; db1 udp late;"), std::string::npos) << text;
}

// What waits for silence has a row that leaves the waiting out.
TEST(FailoverReport, TakesDeadtimeOff) {
  FailoverRun run = a_run(Scenario::host_dead, 330);
  run.routed_ms = 325;
  run.deadtime_ms = 300;
  const std::vector<FailoverRun> runs{run};
  EXPECT_EQ(row_named(failover_rows(runs), "beyond deadtime")->values_ms, (std::vector<double>{25}));
  run.scenario = Scenario::crash;
  const std::vector<FailoverRun> crashes{run};
  EXPECT_FALSE(row_named(failover_rows(crashes), "beyond deadtime"));
}

// On schedule the table has each run's percentiles before the event and from it on; without, no such rows.
TEST(FailoverReport, TellsLatencies) {
  FailoverOptions options;
  std::vector<FailoverRun> runs{a_run(Scenario::crash, 20), a_run(Scenario::crash, 20)};
  EXPECT_FALSE(row_named(failover_rows(runs), "latency before, p50"));
  EXPECT_EQ(failover_text(options, runs).find("latency"), std::string::npos);
  for (FailoverRun& run : runs) {
    run.latency_before = Latency{.count = 100, .p50_ms = 1, .p90_ms = 2, .max_ms = 3};
    run.latency_after = Latency{.count = 300, .p50_ms = 1.5, .p99_ms = 25, .max_ms = 30};
  }
  options.rate = 1000;
  EXPECT_EQ(row_named(failover_rows(runs), "latency before, p90")->values_ms, (std::vector<double>{2, 2}));
  EXPECT_EQ(row_named(failover_rows(runs), "latency from the event, p99")->values_ms,
            (std::vector<double>{25, 25}));
  std::string text = failover_text(options, runs);
  EXPECT_NE(text.find("on schedule, 1,000 commits a second"), std::string::npos) << text;
  EXPECT_EQ(text.find("NOT KEPT UP"), std::string::npos) << text;
  EXPECT_EQ(text.find("without an answer"), std::string::npos) << text;
  runs[1].latency_before->p90_ms = 900;
  runs[0].latency_after->unfinished = 7;
  text = failover_text(options, runs);
  EXPECT_NE(text.find("NOT KEPT UP WITH before the event in 1 of 2 runs"), std::string::npos) << text;
  EXPECT_NE(text.find("without an answer at the end of a run: 7 commits"), std::string::npos) << text;
  const auto json = failover_json(options, runs);
  EXPECT_EQ(json["rate"], 1000);
  EXPECT_EQ(json["scenarios"][0]["runs"][0]["latency_after"]["p99_ms"], 25);
}

}  // namespace
}  // namespace pointsman::bench
