#include "bench/gap.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

constexpr unsigned old_server = 1;
constexpr unsigned new_server = 2;

Moment at(int ms) {
  return Moment(std::chrono::milliseconds(ms));
}

Commit commit(std::uint64_t number, int ms, unsigned server) {
  return {.number = number, .acknowledged = at(ms), .server = server};
}

// One writer: the gap is what lies between the last commit of the old primary and the first of the new one.
TEST(Gap, OfOneWriter) {
  const auto gap = measure_gap({{commit(1, 90, old_server), commit(2, 98, old_server),
                                 commit(4, 131, new_server), commit(5, 133, new_server)}},
                               at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_EQ(gap->gap, 33ms);
  EXPECT_EQ(gap->since_event, 31ms);
  EXPECT_EQ(gap->slowest_writer, 33ms);
}

// The old primary's last answer was on its way when it was killed, and arrives after the event: that is no
// sign that writes go on.
TEST(Gap, AnswerOfTheOldPrimaryAfterTheEvent) {
  const auto gap =
      measure_gap({{commit(1, 99, old_server), commit(2, 101, old_server), commit(3, 130, new_server)}},
                  at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_EQ(gap->gap, 29ms);
  EXPECT_EQ(gap->since_event, 30ms);
}

// Two writers: over all it ends with the first that goes on; the slowest one's own gap is told beside it.
TEST(Gap, OfSeveralWriters) {
  const auto gap = measure_gap({{commit(1, 95, old_server), commit(2, 140, new_server)},
                                {commit(1, 99, old_server), commit(2, 120, new_server)}},
                               at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_EQ(gap->gap, 21ms);
  EXPECT_EQ(gap->first_writer, 1U);
  EXPECT_EQ(gap->slowest_writer, 45ms);
  ASSERT_EQ(gap->of_writer.size(), 2U);
  EXPECT_EQ(gap->of_writer[0], 45ms);
  EXPECT_EQ(gap->of_writer[1], 21ms);
}

// The new primary was the primary once before, in the same recording: only what it acknowledged after the
// event ends the gap.
TEST(Gap, ServersThatChangedPlacesBefore) {
  const auto gap = measure_gap({{commit(1, 10, new_server), commit(2, 60, old_server),
                                 commit(3, 99, old_server), commit(4, 125, new_server)}},
                               at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_EQ(gap->gap, 26ms);
}

// An acknowledged row that nobody has any more was the old primary's.
TEST(Gap, LostRowCountsAsTheOldPrimarys) {
  const std::vector<std::vector<Commit>> writers{
      {commit(1, 98, old_server), commit(2, 99, 0), commit(3, 130, new_server)}};
  const auto gap = measure_gap(writers, at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_EQ(gap->gap, 31ms);
  EXPECT_EQ(count_missing(writers), 1U);
}

// A writer that never came back has no gap, and the others' still count.
TEST(Gap, WriterThatDidNotComeBack) {
  const auto gap =
      measure_gap({{commit(1, 99, old_server)}, {commit(1, 99, old_server), commit(2, 120, new_server)}},
                  at(100), new_server);
  ASSERT_TRUE(gap) << gap.error();
  EXPECT_FALSE(gap->of_writer[0]);
  EXPECT_EQ(gap->slowest_writer, 21ms);
}

// Nothing to measure is an error, not a gap of zero.
TEST(Gap, NothingToMeasure) {
  EXPECT_FALSE(measure_gap({}, at(100), new_server));
  EXPECT_FALSE(measure_gap({{commit(1, 99, old_server)}}, at(100), new_server));
  EXPECT_FALSE(measure_gap({{commit(1, 130, new_server)}}, at(100), new_server));
}

// What is normal is taken from before the event alone.
TEST(Gap, IntervalsBeforeTheEvent) {
  const auto intervals = intervals_before({{commit(1, 90, old_server), commit(2, 92, old_server),
                                            commit(3, 95, old_server), commit(4, 130, new_server)}},
                                          at(100));
  EXPECT_EQ(intervals, (std::vector<double>{2, 3}));
}

// Two writers take turns, so that together they pause for less than either does; the ends of the time count.
TEST(Gap, LongestPause) {
  const std::vector<std::vector<Commit>> writers{
      {commit(1, 90, old_server), commit(2, 110, old_server), commit(3, 150, old_server)},
      {commit(1, 130, old_server), commit(2, 170, old_server), commit(3, 300, old_server)}};
  const Pause pause = longest_pause(writers, at(100), at(200));
  EXPECT_EQ(to_ms(pause.together), 30);        // 170 to the end
  EXPECT_EQ(to_ms(pause.slowest_writer), 50);  // the first one's, 150 to the end
  EXPECT_EQ(to_ms(longest_pause({}, at(100), at(200)).together), 100);
}

}  // namespace
}  // namespace pointsman::bench
