#include <gtest/gtest.h>

#include "tests/core/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

std::vector<std::string> step_names(const HistoryRecord& record) {
  std::vector<std::string> names;
  for (const auto& step : record.steps) names.push_back(step.name);
  return names;
}

// The primary's process is killed: its connections end, reconnects are refused, and the replica takes over at
// once.
TEST(Failover, CrashWithAnEstablishedConnection) {
  Scenario world;
  ASSERT_EQ(world.routed(), 0U);
  const auto epoch = world.epoch();
  const Instant died = world.now();
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  EXPECT_LT(world.now() - died, 40ms);
  EXPECT_GT(world.epoch(), epoch);
  ASSERT_TRUE(world.run_until([&] { return world.core().change() == nullptr; }, 20s));
  const auto record = world.last("failover");
  EXPECT_EQ(step_names(record), (std::vector<std::string>{"detect", "fence", "choose", "catch_up", "promote",
                                                          "route", "repoint"}));
  EXPECT_EQ(record.from, "db1");
  EXPECT_EQ(record.to, "db2");
  EXPECT_EQ(record.verdict, "crashed");
  EXPECT_FALSE(record.failed);
}

}  // namespace
}  // namespace pointsman::sim
