#include "bench/statistics.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

// Nothing was measured: there is nothing to say, not a row of zeros.
TEST(Statistics, OfNothing) {
  EXPECT_FALSE(summarise({}));
}

// One value is all of them.
TEST(Statistics, OfOneValue) {
  const auto summary = summarise({7.5});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->count, 1U);
  EXPECT_EQ(summary->min, 7.5);
  EXPECT_EQ(summary->median, 7.5);
  EXPECT_EQ(summary->p95, 7.5);
  EXPECT_EQ(summary->max, 7.5);
  EXPECT_EQ(summary->spread(), 0);
}

// Values come in any order; the median of an even number lies between two of them.
TEST(Statistics, OfAnEvenNumber) {
  const auto summary = summarise({4, 1, 3, 2});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->min, 1);
  EXPECT_EQ(summary->median, 2.5);
  EXPECT_EQ(summary->max, 4);
}

// By nearest rank the 95th percentile is a value that was measured: of 20 the 19th, of 19 the last.
TEST(Statistics, PercentileIsAMeasuredValue) {
  std::vector<double> values;
  for (int i = 1; i <= 19; ++i) values.push_back(i);
  EXPECT_EQ(summarise(values)->p95, 19);
  values.push_back(20);
  EXPECT_EQ(summarise(values)->p95, 19);
  for (int i = 21; i <= 100; ++i) values.push_back(i);
  EXPECT_EQ(summarise(values)->p95, 95);
}

}  // namespace
}  // namespace pointsman::bench
