#include "proxy/link_report.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

constexpr core::Duration warntime = 400ms;
constexpr core::Duration deadtime = 1s;

LinkPace after(std::initializer_list<core::Duration> gaps) {
  LinkPace pace;
  core::Instant now{1h};
  pace.on_frame(now, warntime, deadtime);
  for (const core::Duration gap : gaps) pace.on_frame(now += gap, warntime, deadtime);
  return pace;
}

// The first frame of all follows on none: it is not late.
TEST(LinkPace, FirstFrame) {
  EXPECT_EQ(after({}).late(), 0U);
  EXPECT_EQ(after({}).longest_gap(), 0s);
}

// A frame is late when more than warntime has passed since the one before; the longest gap stays.
TEST(LinkPace, Late) {
  const LinkPace pace = after({100ms, 400ms, 401ms, 100ms, 600ms, 100ms});
  EXPECT_EQ(pace.late(), 2U);
  EXPECT_EQ(pace.longest_gap(), 600ms);
}

// A link that was dead comes up with the next frame, which is late: gaps are counted anew.
TEST(LinkPace, ComesUpAgain) {
  const LinkPace pace = after({600ms, 1h, 150ms});
  EXPECT_EQ(pace.late(), 2U);
  EXPECT_EQ(pace.longest_gap(), 150ms);
  EXPECT_EQ(after({999ms}).longest_gap(), 999ms);
  EXPECT_EQ(after({1s}).longest_gap(), 0s);
}

// Numbers that come in order, whichever link brings them: nothing is lost.
TEST(LostFrames, NoneInOrder) {
  LostFrames lost;
  for (std::uint32_t seq = 1000; seq < 3000; ++seq) lost.on_frame(seq, seq == 1000);
  EXPECT_EQ(lost.count(), 0U);
}

// A slow line brings every second frame 20 numbers late: that is no loss.
TEST(LostFrames, LateIsNotLost) {
  LostFrames lost;
  lost.on_frame(1, true);
  for (std::uint32_t seq = 2; seq < 2000; seq += 2) {
    lost.on_frame(seq + 20, false);
    lost.on_frame(seq + 1, false);
  }
  // The even ones of the first twenty never came.
  EXPECT_EQ(lost.count(), 10U);
}

// One line is cut: every second frame is missing, and counted when it can no longer come.
TEST(LostFrames, OneOfTwoLinks) {
  LostFrames lost;
  for (std::uint32_t seq = 1; seq <= 201; seq += 2) lost.on_frame(seq, seq == 1);
  EXPECT_EQ(lost.count(), (200 - LostFrames::patience) / 2);
  lost.on_frame(10'000, false);
  lost.on_frame(10'000 + 64, false);
  EXPECT_EQ(lost.count(), 100U + (10'000 - 202) + 0U);
  lost.on_frame(10'000 + 128, false);
  EXPECT_EQ(lost.count(), 100U + (10'000 - 202) + 63U);
}

// Another session of the agent counts from another number; the gap between them is none.
TEST(LostFrames, NewSession) {
  LostFrames lost;
  lost.on_frame(5, true);
  lost.on_frame(1'000'000, true);
  lost.on_frame(1'000'001, false);
  for (std::uint32_t seq = 1'000'002; seq < 1'000'200; ++seq) lost.on_frame(seq, false);
  EXPECT_EQ(lost.count(), 0U);
}

// Against a plain list of what came: random losses and delays, all settled at the end.
TEST(LostFrames, AgreesWithASlowCount) {
  std::uint64_t state = 42;
  const auto random = [&](std::uint32_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state >> 33U) % below;
  };
  for (int round = 0; round < 50; ++round) {
    LostFrames lost;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> arrivals;  // when, number
    std::uint64_t missing = 0;
    for (std::uint32_t seq = 2; seq < 2000; ++seq) {
      if (random(10) == 0) {
        ++missing;
      } else {
        arrivals.emplace_back(seq + random(30), seq);
      }
    }
    std::ranges::sort(arrivals);
    lost.on_frame(1, true);
    for (const auto& [when, seq] : arrivals) lost.on_frame(seq, false);
    for (std::uint32_t seq = 2000; seq < 2200; ++seq) lost.on_frame(seq, false);
    EXPECT_EQ(lost.count(), missing);
  }
}

}  // namespace
}  // namespace pointsman::proxy
