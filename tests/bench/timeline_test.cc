#include "bench/timeline.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

// Two writers; what was acknowledged a second before the event and 3 s after it is the edge.
TEST(Timeline, CountsAroundTheEvent) {
  const Moment event{10s};
  const auto commit = [&](std::chrono::milliseconds at) {
    return Commit{.number = 1, .acknowledged = event + at};
  };
  const Timeline timeline = timeline_around(
      {{commit(-1001ms), commit(-1000ms), commit(-1ms), commit(0ms)}, {commit(9ms), commit(3000ms)}}, event);
  EXPECT_EQ(timeline.from_ms, -1000);
  EXPECT_EQ(timeline.each_ms, 10U);
  ASSERT_EQ(timeline.counts.size(), 400U);
  EXPECT_EQ(timeline.counts[0], 1U);
  EXPECT_EQ(timeline.counts[99], 1U);
  EXPECT_EQ(timeline.counts[100], 2U);
  EXPECT_EQ(timeline.counts[399], 0U);
}

// An outage takes a few letters, and all comes back as it was.
TEST(Timeline, PacksCounts) {
  const std::vector<unsigned> counts{7, 8, 8, 8, 0, 0, 12};
  EXPECT_EQ(pack_counts(counts), "7 8x3 0x2 12");
  EXPECT_EQ(unpack_counts("7 8x3 0x2 12"), counts);
  EXPECT_EQ(pack_counts({}), "");
  EXPECT_EQ(unpack_counts(""), std::vector<unsigned>{});
}

// A file that somebody edited is an error and no crash, and cannot ask for all memory.
TEST(Timeline, RefusesOtherTexts) {
  for (const char* text : {"x", "7 ", "7  8", "-1", "7x", "7x-2", "7y3", "7x3x4", " 7", "99999999999"}) {
    const auto counts = unpack_counts(text);
    if (std::string(text) == "7 ") {
      EXPECT_TRUE(counts) << "a blank at the end does no harm";
    } else {
      EXPECT_FALSE(counts) << text;
    }
  }
  EXPECT_FALSE(unpack_counts("1x101", 100));
  EXPECT_TRUE(unpack_counts("1x100", 100));
  EXPECT_FALSE(unpack_counts("1x60 2x41", 100));
  EXPECT_FALSE(unpack_counts("0x18446744073709551615 1"));
}

TEST(Timeline, ReadsItsOwnJson) {
  const Timeline timeline{.from_ms = -20, .each_ms = 10, .counts = {3, 0, 0, 1}};
  EXPECT_EQ(timeline_from(to_json(timeline)), timeline);
  // As a file has it: small numbers come back as unsigned ones.
  EXPECT_EQ(timeline_from(nlohmann::json::parse(to_json(timeline).dump())), timeline);
  EXPECT_FALSE(timeline_from(nlohmann::json::parse(R"({"from_ms":0,"each_ms":0,"commits":"1"})")));
  EXPECT_FALSE(timeline_from(nlohmann::json::parse(R"({"from_ms":0,"each_ms":10,"commits":[1]})")));
  EXPECT_FALSE(timeline_from(nlohmann::json::parse("[]")));
}

}  // namespace
}  // namespace pointsman::bench
