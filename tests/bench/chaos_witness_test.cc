#include "bench/chaos_witness.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

constexpr unsigned a = 0;
constexpr unsigned b = 1;

Look look(int asked_ms, int answered_ms, bool writable = true) {
  return {.asked = Moment(std::chrono::milliseconds(asked_ms)),
          .answered = Moment(std::chrono::milliseconds(answered_ms)),
          .writable = writable};
}

TEST(OverlapJudge, ConvictsTwoThatSayItTwiceInTurns) {
  OverlapJudge judge;
  EXPECT_FALSE(judge.see(a, look(0, 1)));
  EXPECT_FALSE(judge.see(b, look(2, 3)));
  EXPECT_FALSE(judge.see(a, look(20, 21)));
  EXPECT_TRUE(judge.see(b, look(22, 23)));
}

// One look at each proves nothing: the first may have become read-only before the second was asked.
TEST(OverlapJudge, SparesAHandOver) {
  OverlapJudge judge;
  for (int t = 0; t < 200; t += 20) EXPECT_FALSE(judge.see(a, look(t, t + 1)));
  for (int t = 202; t < 400; t += 20) {
    EXPECT_FALSE(judge.see(b, look(t, t + 1)));
    EXPECT_FALSE(judge.see(a, look(t + 2, t + 3, false)));
  }
}

// An answer that took long may tell of any moment of that time.
TEST(OverlapJudge, SparesLooksThatOverlap) {
  OverlapJudge judge;
  EXPECT_FALSE(judge.see(a, look(0, 1)));
  EXPECT_FALSE(judge.see(a, look(20, 220)));  // read at 21, answered late
  EXPECT_FALSE(judge.see(b, look(100, 101)));
  EXPECT_FALSE(judge.see(b, look(120, 121)));
  EXPECT_FALSE(judge.see(b, look(215, 216)));
}

// Read-only in between: it was handed over and back.
TEST(OverlapJudge, StartsAnewAfterARefusal) {
  OverlapJudge judge;
  EXPECT_FALSE(judge.see(a, look(0, 1)));
  EXPECT_FALSE(judge.see(b, look(2, 3)));
  EXPECT_FALSE(judge.see(b, look(10, 11, false)));
  EXPECT_FALSE(judge.see(a, look(20, 21)));
  EXPECT_FALSE(judge.see(b, look(22, 23)));
  EXPECT_FALSE(judge.see(a, look(40, 41, false)));
}

// Nobody looked for so long that both may have changed twice.
TEST(OverlapJudge, SparesLooksThatAreFarApart) {
  OverlapJudge judge;
  EXPECT_FALSE(judge.see(a, look(0, 1)));
  EXPECT_FALSE(judge.see(b, look(2, 3)));
  EXPECT_FALSE(judge.see(a, look(5000, 5001)));
  EXPECT_FALSE(judge.see(b, look(5002, 5003)));
}

}  // namespace
}  // namespace pointsman::bench
