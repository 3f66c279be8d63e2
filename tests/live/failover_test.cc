#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"

namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;

using Failover = LiveTest;
INSTANTIATE_TEST_SUITE_P(Each, Failover, testing::Values(Product::mariadb, Product::mysql), product_name);

// The primary is killed under a writer: writes go on on the other server. What the old one wrote to its
// binary log in its last moment nobody else has; it comes back as a replica or is quarantined with just that,
// and is never writable again.
TEST_P(Failover, KilledUnderAWriter) {
  World world = World::make({.product = GetParam()});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  const auto killed_at = std::chrono::steady_clock::now();
  world.db(0).kill();
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  std::printf("gap %lld ms, %s\n", static_cast<long long>(writer.longest_gap(killed_at).count()),
              world.last_event("failover").dump().c_str());

  ASSERT_TRUE(world.db(0).start().has_value());
  const auto back = world.daemon->wait_status(
      [](const auto& status) {
        const auto role = status["backends"][0]["role"];
        return role == "replica" || role == "quarantined";
      },
      Millis(20000));
  ASSERT_TRUE(back.has_value()) << back.error() << world.story();
  EXPECT_FALSE(writable(world.db(0)));
  if ((*back)["backends"][0]["role"] == "quarantined") {
    EXPECT_FALSE((*back)["backends"][0]["errant"].empty());
    EXPECT_FALSE(world.last_event("quarantine").is_null());
  }
}

// The primary dies between two writes, so that nothing is in flight: the old one always comes back as a
// replica.
TEST_P(Failover, KilledIdleAndComesBackAsReplica) {
  World world = World::make({.product = GetParam()});
  ASSERT_NE(world.daemon, nullptr);
  {
    Writer writer(*world.daemon, *world.cluster);
    ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  }
  ASSERT_TRUE(world.cluster->wait_caught_up(world.db(1), world.db(0), 20s).has_value());
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  world.db(0).kill();
  Writer writer(*world.daemon, *world.cluster, 1000000);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  const auto event = world.last_event("failover");
  EXPECT_EQ(event["from"], "db1");
  EXPECT_EQ(event["to"], "db2");
  EXPECT_EQ(event["verdict"], "crashed");
  std::vector<std::string> steps;
  for (const auto& step : event["steps"]) steps.push_back(step["name"]);
  EXPECT_EQ(steps, (std::vector<std::string>{"detect", "fence", "choose", "catch_up", "promote", "route",
                                             "repoint"}))
      << event;
  ASSERT_TRUE(world.db(0).start().has_value());
  world.expect_in_order("db2");
}

// The primary is frozen: after deadtime the other one serves; the thawed one never again accepts a write as
// long as it is not the primary.
TEST_P(Failover, FrozenPrimaryIsReplacedAfterDeadtime) {
  World world = World::make({.product = GetParam()});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  // A replica that is just connecting anew, as its role is set, cannot be stopped before its source answers.
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  const auto frozen_at = std::chrono::steady_clock::now();
  ASSERT_TRUE(world.db(0).freeze());
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  EXPECT_GE(writer.longest_gap(frozen_at), 900ms) << "deadtime is a second";
  EXPECT_EQ(world.last_event("failover")["verdict"], "dead");
  std::printf("gap %lld ms, %s\n", static_cast<long long>(writer.longest_gap(frozen_at).count()),
              world.last_event("failover").dump().c_str());

  ASSERT_TRUE(world.db(0).thaw());
  const auto taken_back = world.daemon->wait_status(
      [](const auto& status) {
        const auto& old = status["backends"][0];
        return old["verdict"] == "up" && old["read_only"] == true &&
               (old["role"] == "replica" || old["role"] == "quarantined");
      },
      Millis(20000));
  EXPECT_TRUE(taken_back.has_value()) << (taken_back ? "" : taken_back.error()) << world.story();
  EXPECT_FALSE(writable(world.db(0)));
}

// Kill after kill under a writer with semi-sync required: no acknowledged row is ever missing on the new
// primary, and the old one follows it each time. MariaDB: its recovery sheds the unacknowledged tail
// (init_rpl_role, which the testbed sets).
TEST(FailoverRequired, NoAcknowledgedRowIsLostInKillAfterKill) {
  World world = World::make(
      {.product = Product::mariadb, .semi_sync = true},
      {{"replication", {{"semi_sync", "\"required\""}}}, {"failover", {{"max_in_window", "100"}}}});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  for (int round = 0; round < 20; ++round) {
    const std::size_t victim = round % 2;
    ASSERT_TRUE(writer.wait_for(20, soon))
        << "round " << round << ": " << writer.last_error() << world.story();
    // A replica that was just started may have thrown away what it had acknowledged, until it is seen to have
    // it.
    ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
    world.db(victim).kill();
    const auto replaced = world.daemon->wait_status(
        [&](const auto& s) { return s["primary"] == (victim == 0 ? "db2" : "db1"); }, Millis(20000));
    ASSERT_TRUE(replaced.has_value()) << "round " << round << ": " << replaced.error() << world.story();
    // Before the old one returns: whatever was acknowledged must be here, or it would be nowhere.
    const auto missing = world.missing(world.db(1 - victim), writer.acknowledged());
    EXPECT_TRUE(missing.empty()) << "round " << round << ": " << missing.size() << " rows lost, first "
                                 << missing.front();
    ASSERT_TRUE(world.db(victim).start().has_value());
    world.expect_in_order(victim == 0 ? "db2" : "db1");
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace pointsman::live
