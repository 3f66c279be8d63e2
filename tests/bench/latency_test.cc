#include "bench/latency.h"

#include <gtest/gtest.h>

#include "bench/statistics.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

constexpr Moment start{100s};

// A hundred a second of four writers: they take turns every 10 ms, and each comes again after 40 ms.
TEST(Schedule, WritersTakeTurns) {
  const Schedule schedule(start, 100, 4);
  EXPECT_EQ(schedule.due(0, 0), start);
  EXPECT_EQ(schedule.due(1, 0), start + 10ms);
  EXPECT_EQ(schedule.due(3, 0), start + 30ms);
  EXPECT_EQ(schedule.due(0, 1), start + 40ms);
  EXPECT_EQ(schedule.due(2, 25), start + 1020ms);
}

// A rate that does not divide a second does not drift, and hours of writing overflow nothing.
TEST(Schedule, DoesNotDrift) {
  const Schedule schedule(start, 3, 1);
  EXPECT_EQ(schedule.due(0, 1), start + 333333333ns);
  EXPECT_EQ(schedule.due(0, 3), start + 1s);
  EXPECT_EQ(schedule.due(0, 3 * 86400 * 365), start + 86400s * 365);
  const Schedule fast(start, 100'000, 500);
  EXPECT_EQ(fast.due(499, 20'000'000), start + 100'000s + 4990us);
}

// From when a writer's commits lie in a time, the same as by looking at each.
TEST(Schedule, FindsTheFirstFromAMoment) {
  const Schedule schedule(start, 7, 3);
  for (const unsigned writer : {0U, 1U, 2U}) {
    for (const auto moment : {start - 1s, start, start + 1ns, start + 142857142ns, start + 1s, start + 97s}) {
      std::uint64_t slow = 0;
      while (schedule.due(writer, slow) < moment) ++slow;
      EXPECT_EQ(schedule.first_from(writer, moment), slow) << writer;
    }
  }
}

Commit acknowledged(Moment at) {
  return {.number = 1, .acknowledged = at};
}

// One writer, one commit every 10 ms, each answered after 1 ms; nothing from 50 to 90 ms. Whoever waits for
// an answer before he sends the next sees one slow commit; on schedule those that were due meanwhile are slow
// as well.
TEST(Latency, CountsWhatWasDueMeanwhile) {
  const Schedule schedule(start, 100, 1);
  std::vector<Commit> commits;
  for (int i = 0; i < 20; ++i) {
    const Moment usual = start + 10ms * i + 1ms;
    commits.push_back(acknowledged(i >= 5 && i <= 8 ? start + 91ms : usual));
  }
  const auto latency = latency_around({commits}, schedule, start + 50ms, 50ms, 100ms, start + 200ms);
  ASSERT_TRUE(latency.before);
  EXPECT_EQ(latency.before->count, 5U);
  EXPECT_EQ(latency.before->max_ms, 1);
  ASSERT_TRUE(latency.after);
  EXPECT_EQ(latency.after->count, 10U);
  EXPECT_EQ(latency.after->unfinished, 0U);
  EXPECT_EQ(latency.after->p50_ms, 1);
  EXPECT_EQ(latency.after->p90_ms, 31);
  EXPECT_EQ(latency.after->max_ms, 41);
}

// What was on its way when the primary died is slow because of that, and not what was usual before.
TEST(Latency, CountsWhatWasOnItsWayToTheEvent) {
  const Schedule schedule(start, 100, 1);
  const std::vector<Commit> commits{acknowledged(start + 1ms), acknowledged(start + 11ms),
                                    acknowledged(start + 500ms)};
  const auto latency = latency_around({commits}, schedule, start + 21ms, 21ms, 1ms, start + 600ms);
  ASSERT_TRUE(latency.before && latency.after);
  EXPECT_EQ(latency.before->count, 2U);
  EXPECT_EQ(latency.before->max_ms, 1);
  EXPECT_EQ(latency.after->count, 1U);
  EXPECT_EQ(latency.after->max_ms, 480);
}

// A commit that nobody had an answer to at the end has waited at least until then.
TEST(Latency, CountsTheUnfinished) {
  const Schedule schedule(start, 100, 2);
  const std::vector<std::vector<Commit>> writers{{acknowledged(start + 2ms)}, {}};
  const auto latency = latency_around(writers, schedule, start, 10ms, 40ms, start + 100ms).after;
  ASSERT_TRUE(latency);
  EXPECT_EQ(latency->count, 4U);
  EXPECT_EQ(latency->unfinished, 3U);
  EXPECT_EQ(latency->max_ms, 90);  // of the second writer, due after 10 ms
  EXPECT_EQ(latency->p50_ms, 70);
}

TEST(Latency, NothingWasDue) {
  const Schedule schedule(start, 100, 1);
  const auto early = latency_around({{}}, schedule, start - 2s, 1s, 1s, start);
  EXPECT_FALSE(early.before);
  EXPECT_FALSE(early.after);
  EXPECT_FALSE(latency_around({}, schedule, start, 1s, 1s, start + 1s).after);
}

TEST(Latency, NearestRank) {
  std::vector<double> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(i);
  EXPECT_EQ(nearest_rank(values, 500), 500);
  EXPECT_EQ(nearest_rank(values, 999), 999);
  EXPECT_EQ(nearest_rank(values, 1000), 1000);
  EXPECT_EQ(nearest_rank({4}, 1), 4);
}

}  // namespace
}  // namespace pointsman::bench
