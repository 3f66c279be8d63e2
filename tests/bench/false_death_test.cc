#include "bench/false_death.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

Moment at(std::chrono::milliseconds time) {
  return Moment(time);
}

// Frames come each 50 ms and are looked at at odd moments; one comes 130 ms after the one before, and is
// late.
TEST(LinkWatch, CountsLateFrames) {
  LinkWatch watch(100ms);
  watch.see(at(1000ms), 10, 20ms);  // came at 980
  watch.see(at(1020ms), 10, 40ms);  // the same one
  watch.see(at(1045ms), 11, 15ms);  // 1030
  watch.see(at(1165ms), 12, 5ms);   // 1160
  EXPECT_EQ(watch.frames(), 2U);
  EXPECT_EQ(watch.late(), 1U);
  EXPECT_EQ(watch.gaps_ms(), (std::vector<double>{50, 130}));
  EXPECT_EQ(watch.longest_ms(), 130);
}

// Several frames since the last look: they are counted, but how far apart they were nobody saw.
TEST(LinkWatch, FramesBetweenTwoLooks) {
  LinkWatch watch(100ms);
  watch.see(at(1000ms), 10, 0ms);
  watch.see(at(1300ms), 16, 0ms);
  EXPECT_EQ(watch.frames(), 6U);
  EXPECT_EQ(watch.late(), 0U);
  EXPECT_TRUE(watch.gaps_ms().empty());
}

// What happened although nothing was wrong is told; a quiet time is well.
TEST(FalseDeath, IsTold) {
  FalseDeathResult result;
  result.polls = 100;
  result.leases_lost = {{"db1", 0}, {"db2", 0}};
  EXPECT_EQ(why_false_death(result), "");
  result.leases_lost["db1"] = 2;
  EXPECT_EQ(why_false_death(result), "the agent of db1 lost its lease 2 times");
  result.verdicts.push_back({{"kind", "verdict"}});
  EXPECT_TRUE(why_false_death(result).contains("verdict"));
  result.failovers.push_back({{"kind", "failover"}});
  EXPECT_TRUE(why_false_death(result).contains("failovers"));
}

}  // namespace
}  // namespace pointsman::bench
