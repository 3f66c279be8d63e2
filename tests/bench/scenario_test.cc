#include "bench/scenario.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

using Millis = Setup::Millis;

// Every scenario has a name that is read back; another name is answered by the list of them.
TEST(Scenario, NamesAreReadBack) {
  for (const Scenario scenario : all_scenarios) {
    const auto parsed = parse_scenario(to_string(scenario));
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_EQ(*parsed, scenario);
  }
  const auto refused = parse_scenario("flood");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().contains("cut-eth0")) << refused.error();
}

// Without wishes every scenario can be shown, on a line that is fast enough for its keepalive.
TEST(Scenario, OwnSetupsHold) {
  for (const Scenario scenario : all_scenarios) {
    const auto setup = setup_for(scenario, {});
    ASSERT_TRUE(setup) << setup.error();
    EXPECT_LT(setup->times.lease, setup->times.deadtime);
    EXPECT_GE(setup->baud, baud_for(setup->times.keepalive));
  }
  EXPECT_EQ(setup_for(Scenario::host_dead, {})->baud, 38400U);
  EXPECT_FALSE(setup_for(Scenario::crash, {})->agents);
}

// A shorter deadtime takes warntime and lease with it, unless they are wished for too.
TEST(Scenario, TimesFollowDeadtime) {
  const auto setup = setup_for(Scenario::cut_eth0, {.deadtime = Millis(300)});
  ASSERT_TRUE(setup) << setup.error();
  EXPECT_EQ(setup->times.warntime, Millis(150));
  EXPECT_EQ(setup->times.lease, Millis(150));
  const auto wished = setup_for(Scenario::cut_eth0, {.deadtime = Millis(300), .lease = Millis(250)});
  ASSERT_TRUE(wished) << wished.error();
  EXPECT_EQ(wished->times.lease, Millis(250));
}

// What a scenario is about cannot be wished away.
TEST(Scenario, RefusesWhatCannotBeShown) {
  EXPECT_FALSE(setup_for(Scenario::hang, {.agents = false}));
  EXPECT_FALSE(setup_for(Scenario::host_dead, {.network = false}));
  EXPECT_FALSE(setup_for(Scenario::cut_serial, {.links = std::vector<std::string>{"udp"}}));
  EXPECT_FALSE(setup_for(Scenario::crash, {.links = std::vector<std::string>{"pigeon"}}));
  EXPECT_TRUE(setup_for(Scenario::host_dead, {.links = std::vector<std::string>{"udp"}}));
}

}  // namespace
}  // namespace pointsman::bench
