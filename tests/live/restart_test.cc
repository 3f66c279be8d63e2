#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"

// The daemon dies in the middle of things.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;

Keys required() {
  return {{"replication", {{"semi_sync", "\"required\""}}}, {"failover", {{"max_in_window", "1000"}}}};
}

std::size_t writable_servers(World& world) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < world.cluster->size(); ++i) count += writable(world.db(i)) ? 1 : 0;
  return count;
}

std::string wait_for_any_primary(World& world) {
  const auto status =
      world.daemon->wait_status([](const auto& s) { return s["state"] == "steady"; }, Millis(soon));
  EXPECT_TRUE(status.has_value()) << status.error() << world.story();
  return status ? (*status)["primary"].get<std::string>() : "";
}

// Killed at different moments of a failover and started again: one primary, every acknowledged row,
// replication turned round.
TEST(DaemonKilled, InTheMiddleOfAFailover) {
  World world = World::make({.semi_sync = true}, required());
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  std::string primary = "db1";
  for (const auto delay : {0ms, 2ms, 5ms, 8ms, 12ms, 16ms, 24ms, 40ms}) {
    ASSERT_TRUE(writer.wait_for(10, soon)) << writer.last_error() << world.story();
    testbed::Server& victim = *world.cluster->find(primary);
    victim.kill();
    std::this_thread::sleep_for(delay);
    world.daemon->kill();
    ASSERT_LE(writable_servers(world), 1U) << "after " << delay.count() << " ms";
    ASSERT_TRUE(world.daemon->start().has_value());
    ASSERT_TRUE(victim.start().has_value());
    primary = wait_for_any_primary(world);
    if (HasFailure()) return;
    EXPECT_EQ(writable_servers(world), 1U) << "after " << delay.count() << " ms" << world.story();
    const auto missing = world.missing(*world.cluster->find(primary), writer.acknowledged());
    EXPECT_TRUE(missing.empty()) << missing.size() << " rows lost after " << delay.count() << " ms"
                                 << world.story();
    world.expect_in_order(primary);
    if (HasFatalFailure()) return;
  }
}

// The same with a switchover.
TEST(DaemonKilled, InTheMiddleOfASwitchover) {
  World world = World::make({.semi_sync = true}, required());
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  std::string primary = "db1";
  for (const auto delay : {4ms, 8ms, 12ms, 16ms, 20ms, 28ms, 40ms, 60ms}) {
    ASSERT_TRUE(writer.wait_for(10, soon)) << writer.last_error() << world.story();
    std::thread operator_types([&] { (void)world.daemon->command({"switchover"}); });
    std::this_thread::sleep_for(delay);
    world.daemon->kill();
    operator_types.join();
    ASSERT_LE(writable_servers(world), 1U) << "after " << delay.count() << " ms";
    ASSERT_TRUE(world.daemon->start().has_value());
    primary = wait_for_any_primary(world);
    if (HasFailure()) return;
    EXPECT_EQ(writable_servers(world), 1U) << "after " << delay.count() << " ms" << world.story();
    EXPECT_TRUE(world.missing(*world.cluster->find(primary), writer.acknowledged()).empty()) << world.story();
    world.expect_in_order(primary);
    if (HasFatalFailure()) return;
  }
}

// The primary dies while no daemon runs: the next one fails over, and an epoch never comes twice.
TEST(DaemonKilled, PrimaryDiesMeanwhile) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  // Or it would not be known what the primary committed without a replica before it died.
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  const auto before = world.daemon->status();
  ASSERT_TRUE(before) << before.error();
  world.daemon->kill();
  world.db(0).kill();
  ASSERT_TRUE(world.daemon->start().has_value());
  const auto replaced = world.daemon->wait_status(
      [](const auto& s) { return s["primary"] == "db2" && s["state"] == "steady"; }, Millis(soon));
  ASSERT_TRUE(replaced.has_value()) << replaced.error() << world.story();
  EXPECT_GT((*replaced)["epoch"], (*before)["epoch"]);
}

// Three servers: the one that was not promoted follows the new primary.
TEST(ThreeServers, TheOtherReplicaIsRepointed) {
  World world = World::make({.servers = 3});
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_TRUE(world.cluster->wait_caught_up(world.db(1), world.db(0), 20s).has_value());
  ASSERT_TRUE(world.cluster->wait_caught_up(world.db(2), world.db(0), 20s).has_value());
  world.db(0).kill();
  const std::string primary = [&] {
    const auto status = world.daemon->wait_status(
        [](const auto& s) { return s["state"] == "steady" && s["primary"] != "db1"; }, Millis(soon));
    return status ? (*status)["primary"].get<std::string>() : "";
  }();
  ASSERT_NE(primary, "") << world.story();
  ASSERT_TRUE(world.db(0).start().has_value());
  world.expect_in_order(primary);
}

}  // namespace
}  // namespace pointsman::live
