#include "proxy/link_report.h"

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

}  // namespace
}  // namespace pointsman::proxy
