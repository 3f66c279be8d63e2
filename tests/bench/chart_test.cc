#include "bench/chart.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

// The largest sample is a full bar, half of it half of one; nothing is nothing.
TEST(Chart, Scales) {
  EXPECT_EQ(bars(std::vector<unsigned>{0, 4, 8}, 10, 1, 0, true), (std::vector<std::string>{" ▄█"}));
  EXPECT_EQ(bars(std::vector<unsigned>{0, 5, 10}, 10, 2, 0, false), (std::vector<std::string>{"  #", " ##"}));
}

// A single commit in a hundred milliseconds is not the same as none.
TEST(Chart, ShowsTheLeast) {
  EXPECT_EQ(bars(std::vector<unsigned>{1, 0, 1000}, 10, 1, 0, true), (std::vector<std::string>{"▁ █"}));
}

// What does not fit is the oldest; a value above the given top does not leave the frame.
TEST(Chart, KeepsItsFrame) {
  EXPECT_EQ(bars(std::vector<unsigned>{9, 8, 1, 2}, 2, 1, 2, true), (std::vector<std::string>{"▄█"}));
  EXPECT_EQ(bars(std::vector<unsigned>{50}, 2, 1, 2, true), (std::vector<std::string>{"█"}));
  EXPECT_EQ(bars({}, 2, 2, 0, true), (std::vector<std::string>{"", ""}));
  EXPECT_EQ(bars(std::vector<unsigned>{0, 0}, 2, 1, 0, true), (std::vector<std::string>{"  "}));
}

// Commits of all writers are counted in the interval in which they were acknowledged; those outside are not.
TEST(Chart, CountsPerInterval) {
  using namespace std::chrono_literals;
  const auto commit = [](int ms) {
    return Commit{.number = 0, .acknowledged = Moment(std::chrono::milliseconds(ms))};
  };
  const auto counts = count_per({{commit(5), commit(10), commit(19)}, {commit(12), commit(39), commit(40)}},
                                Moment(10ms), 10ms, 3);
  EXPECT_EQ(counts, (std::vector<unsigned>{3, 0, 1}));
}

}  // namespace
}  // namespace pointsman::bench
