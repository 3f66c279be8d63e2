#include "bench/against.h"

#include <gtest/gtest.h>

#include "bench/against_report.h"
#include "bench/plot.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

constexpr Moment event{100s};

Commit commit(std::chrono::milliseconds at, unsigned server) {
  return {.number = 1, .acknowledged = event + at, .server = server};
}

Recording recording(std::vector<std::vector<Commit>> commits) {
  Recording made{.commits = std::move(commits), .interruptions = {}, .schedule = {}, .end = event + 1s};
  made.interruptions.resize(made.commits.size());
  return made;
}

std::vector<unsigned> sides(const Recording& recording, std::size_t writer) {
  std::vector<unsigned> all;
  for (const Commit& one : recording.commits[writer]) all.push_back(one.server);
  return all;
}

// A proxy that keeps its clients' connections: no writer is interrupted, and the server's id alone tells.
TEST(Against, TellsSidesByTheServer) {
  Recording made = recording({{commit(-10ms, 7), commit(5ms, 7), commit(40ms, 9)}});
  mark_sides(made, event);
  EXPECT_EQ(sides(made, 0), (std::vector<unsigned>{1, 1, 2}));
}

// One server that comes back: its id is the same, and the new connection tells. An answer of the old
// connection that was on its way is not taken for the return.
TEST(Against, TellsSidesByTheConnection) {
  Recording made = recording({{commit(-10ms, 7), commit(5ms, 7), commit(900ms, 7), commit(910ms, 7)}});
  made.interruptions[0].push_back(
      {.began = event + 6ms, .connected = event + 890ms, .committed = event + 900ms, .error = "gone"});
  mark_sides(made, event);
  EXPECT_EQ(sides(made, 0), (std::vector<unsigned>{1, 1, 2, 2}));
}

// Rows that are missing stay so; an interruption before the event, or one that did not come to a commit,
// tells nothing.
TEST(Against, LeavesTheMissing) {
  Recording made = recording({{commit(-10ms, 7), commit(5ms, 0), commit(20ms, 7)}, {commit(-5ms, 7)}});
  made.interruptions[0].push_back(
      {.began = event - 9s, .connected = event - 8s, .committed = event - 7s, .error = {}});
  made.interruptions[1].push_back(
      {.began = event + 1ms, .connected = event + 2ms, .committed = {}, .error = {}});
  mark_sides(made, event);
  EXPECT_EQ(sides(made, 0), (std::vector<unsigned>{1, 0, 1}));
  EXPECT_EQ(sides(made, 1), (std::vector<unsigned>{1}));
  EXPECT_EQ(count_missing(made.commits), 1U);
}

// The same table as of a failover, and what only this benchmark has; its JSON can be drawn and has no
// password.
TEST(Against, Reports) {
  AgainstOptions options;
  options.file.endpoint.address = {"10.0.0.1", 3306};
  options.file.endpoint.password = "geheim";
  options.file.commands.kill = "kill it";
  std::vector<AgainstRun> runs(2);
  for (unsigned i = 0; i < 2; ++i) {
    runs[i].number = i + 1;
    runs[i].gap_ms = 1500 + 1000 * i;
    runs[i].way = Way{.broken_ms = 2, .connected_ms = 1490, .committed_ms = 1500, .failed = 3, .error = "x"};
    runs[i].timeline = {.from_ms = 0, .each_ms = 10, .counts = {1, 2}};
    runs[i].acknowledged = 1000;
  }
  runs[0].by_itself = true;
  runs[1].missing = 4;
  const std::string text = against_text(options, runs);
  EXPECT_TRUE(text.contains("against 10.0.0.1:3306, 4 writers, 2 runs (ms)")) << text;
  EXPECT_TRUE(
      text.contains("2,000 rows acknowledged, 4 missing through the endpoint; writes went on by "
                    "themselves 1 of 2"))
      << text;
  for (const char* row : {"gap", "client connected", "restore", "a commit before"}) {
    EXPECT_TRUE(text.contains(std::string("\n  ") + row)) << row << "\n" << text;
  }
  EXPECT_FALSE(text.contains("routed")) << text;
  const auto json = against_json(options, runs);
  EXPECT_FALSE(json.dump().contains("geheim"));
  EXPECT_EQ(json["missing"], 4);
  EXPECT_EQ(json["scenarios"][0]["summary_ms"]["gap"]["median"], 2000);
  const auto series = plot_series(json);
  ASSERT_TRUE(series) << series.error();
  EXPECT_EQ(series->front().gaps_ms, (std::vector<double>{1500, 2500}));
  EXPECT_EQ(against_text(options, {}), "");
}

}  // namespace
}  // namespace pointsman::bench
