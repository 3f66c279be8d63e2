#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"

// The replica is away, the primary goes on without it, and then it dies too.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;

constexpr auto long_enough = 60s;

class Degraded : public LiveTest {
 protected:
  nlohmann::json wait(World& world, const std::function<bool(const nlohmann::json&)>& wanted) {
    const auto status = world.daemon->wait_status(wanted, Millis(long_enough));
    EXPECT_TRUE(status.has_value()) << status.error() << world.story();
    return status.value_or(nlohmann::json());
  }
  // Only the receiver: MariaDB forgets what was received and not applied when both threads are stopped.
  void receiver(World& world, const std::string& verb) {
    const char* noun = GetParam() == Product::mariadb ? " SLAVE" : " REPLICA";
    world.ask(world.db(1), verb + noun + " IO_THREAD");
  }
  std::size_t events(World& world, const std::string& kind) {
    const auto all = world.daemon->events();
    return all ? static_cast<std::size_t>(
                     std::ranges::count_if(*all, [&](const auto& event) { return event["kind"] == kind; }))
               : 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Products, Degraded, testing::Values(Product::mariadb, Product::mysql), product_name);

// The daemon is killed while commits are answered without a replica, and the primary before another daemon is
// there: nobody takes over, and it is said since when and how many are at stake. When the primary is back,
// the replica catches up, and from then on it may take over.
TEST_P(Degraded, IsRememberedCountedAndEnds) {
  testbed::Cluster::Options options{.product = GetParam(), .semi_sync = true};
  // Under `preferred` crash recovery must not take anything out.
  if (GetParam() == Product::mariadb) options.settings = {"init_rpl_role = MASTER"};
  World world = World::make(options);
  ASSERT_NE(world.daemon, nullptr);
  wait(world,
       [](const auto& s) { return s["semi_sync"]["state"] == "on" && s["semi_sync"]["at_stake"] == 0; });
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(20, long_enough)) << world.story();
  EXPECT_EQ(events(world, "degraded"), 0U) << world.story();

  receiver(world, "STOP");
  auto status = wait(world, [](const auto& s) { return s["semi_sync"]["state"] == "degraded"; });
  ASSERT_TRUE(writer.wait_for(50, long_enough)) << world.story();
  writer.stop();
  status = wait(world, [](const auto& s) { return s["semi_sync"]["at_stake"] >= 50; });
  if (HasFailure()) return;
  const std::string since = status["semi_sync"]["degraded_at"];
  EXPECT_FALSE(status["semi_sync"]["degraded_since"].is_null());
  EXPECT_EQ(world.last_event("degraded")["gtid"], since);
  const auto text = world.daemon->command({"status"});
  ASSERT_TRUE(text.has_value());
  EXPECT_NE(text->out.find("semi-sync DEGRADED"), std::string::npos) << text->out;
  EXPECT_NE(text->out.find(" transactions at stake"), std::string::npos) << text->out;
  const auto explained = world.daemon->command({"explain", "--json"});
  ASSERT_TRUE(explained.has_value());
  const auto explanation = nlohmann::json::parse(explained->out);
  EXPECT_GE(explanation["at_stake"], 50) << explanation.dump(2);
  EXPECT_NE(explanation["vetoes"].dump().find("db2 is behind"), std::string::npos) << explanation.dump(2);
  std::this_thread::sleep_for(1500ms);  // as often as it is stored how far the primary has come

  const std::size_t at_stake = wait(world, [](const auto&) { return true; })["semi_sync"]["at_stake"];
  world.daemon->kill();
  world.db(0).kill();
  receiver(world, "START");
  ASSERT_TRUE(world.daemon->start().has_value());
  status = wait(world, [](const auto& s) {
    return s["state"] == "no_primary" && s["reason"].template get<std::string>().contains("is behind");
  });
  std::this_thread::sleep_for(3s);
  status = wait(world, [](const auto&) { return true; });
  if (HasFailure()) return;
  EXPECT_EQ(status["semi_sync"]["at_stake"], at_stake) << status.dump(2);
  EXPECT_EQ(status["semi_sync"]["degraded_at"], since);
  const std::string reason = status["reason"];
  EXPECT_NE(reason.find("it never received " + std::to_string(at_stake) + " transactions"), std::string::npos)
      << reason;
  EXPECT_NE(reason.find("answered without a replica since " + since), std::string::npos) << reason;
  EXPECT_EQ(events(world, "failover"), 0U) << world.story();
  EXPECT_FALSE(writable(world.db(1)));

  ASSERT_TRUE(world.db(0).start().has_value());
  world.expect_in_order("db1");
  if (HasFailure()) return;
  wait(world,
       [](const auto& s) { return s["semi_sync"]["state"] == "on" && s["semi_sync"]["at_stake"] == 0; });
  EXPECT_EQ(events(world, "restored"), 1U) << world.story();

  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  world.db(0).kill();
  wait(world, [](const auto& s) { return s["state"] == "steady" && s["primary"] == "db2"; });
  EXPECT_TRUE(world.missing(world.db(1), writer.acknowledged()).empty()) << world.story();
}

class LostAcknowledgement : public LiveTest {
 protected:
  // As one that acknowledges, or as one that does not, from its receiver's next start on.
  void connect_again(World& world, bool acknowledges) {
    const bool mariadb = GetParam() == Product::mariadb;
    const std::string noun = mariadb ? "SLAVE" : "REPLICA";
    world.ask(world.db(1), "STOP " + noun + " IO_THREAD");
    world.ask(world.db(1), std::string("SET GLOBAL rpl_semi_sync_") + (mariadb ? "slave" : "replica") +
                               "_enabled = " + (acknowledges ? "ON" : "OFF"));
    world.ask(world.db(1), "START " + noun + " IO_THREAD");
  }
};
INSTANTIATE_TEST_SUITE_P(Products, LostAcknowledgement, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// The replica gets a commit that it does not acknowledge, and then connects as one that does: as one whose
// connection broke before its answer was through. It is not sent that commit again, and nothing comes after
// it, as every client waits. With `required` that would be for ever.
TEST_P(LostAcknowledgement, IsGotByAnotherCommit) {
  World world = World::make({.product = GetParam(), .semi_sync = true},
                            {{"replication", {{"semi_sync", "\"required\""}}}});
  ASSERT_NE(world.daemon, nullptr);
  const auto on = world.daemon->wait_status([](const auto& s) { return s["semi_sync"]["state"] == "on"; },
                                            Millis(long_enough));
  ASSERT_TRUE(on.has_value()) << on.error();
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(20, long_enough)) << world.story();
  // Or the daemon would set the role right at once.
  ASSERT_EQ(world.daemon->command({"maintenance", "db2", "on"})->code, 0);
  connect_again(world, false);
  const auto deadline = std::chrono::steady_clock::now() + long_enough;
  while (writer.wait_for(1, 1s) && std::chrono::steady_clock::now() < deadline) {
  }
  ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "commits do not wait" << world.story();
  connect_again(world, true);
  ASSERT_EQ(world.daemon->command({"maintenance", "db2", "off"})->code, 0);
  EXPECT_TRUE(writer.wait_for(20, long_enough)) << world.story();
  EXPECT_EQ(writer.errors(), 0U) << writer.last_error();
  writer.stop();
  world.expect_in_order("db1");
}

}  // namespace
}  // namespace pointsman::live
