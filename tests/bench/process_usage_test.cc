#include "bench/process_usage.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace pointsman::bench {
namespace {

// A program may be called anything, brackets and blanks included; the times come after the last bracket.
TEST(ProcessUsage, ReadsTimesBehindTheName) {
  const auto ticks = parse_cpu_ticks("4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0 12345");
  ASSERT_TRUE(ticks) << ticks.error();
  EXPECT_EQ(*ticks, 300);
}

TEST(ProcessUsage, RefusesWhatIsNoProcess) {
  EXPECT_FALSE(parse_cpu_ticks(""));
  EXPECT_FALSE(parse_cpu_ticks("4711 (a) S 1 2"));
  EXPECT_FALSE(cpu_seconds(-1));
  EXPECT_FALSE(resident_kib(-1));
}

// This very process: it has memory, and its time only grows.
TEST(ProcessUsage, OfThisProcess) {
  const auto before = cpu_seconds(::getpid());
  ASSERT_TRUE(before) << before.error();
  const auto after = cpu_seconds(::getpid());
  ASSERT_TRUE(after) << after.error();
  EXPECT_GE(*after, *before);
  const auto resident = resident_kib(::getpid());
  ASSERT_TRUE(resident) << resident.error();
  EXPECT_GT(*resident, 100U);
}

}  // namespace
}  // namespace pointsman::bench
