#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"

// The thread of a replica that applies what was received.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;

using Applier = LiveTest;
INSTANTIATE_TEST_SUITE_P(Each, Applier, testing::Values(Product::mariadb, Product::mysql), product_name);

bool is_started_again(World& world) {
  const auto told = world.daemon->wait_status(
      [&](const auto&) { return has(world.last_event("trouble").dump(), "it was started again"); },
      testbed::Millis(soon));
  return told.has_value();
}

// The applier gives up as it does not get a lock, of a backup perhaps. No data are wrong, so it is started
// again.
TEST_P(Applier, IsStartedAgainWhenItGotNoLock) {
  const bool mariadb = GetParam() == Product::mariadb;
  World world = World::make(
      {.product = GetParam(),
       .settings = {"innodb_lock_wait_timeout = 1",
                    mariadb ? "slave_transaction_retries = 0" : "replica_transaction_retries = 0"}});
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_EQ(world.ask(world.db(0), "CREATE TABLE app.held (id INT PRIMARY KEY, v INT) ENGINE=InnoDB"), "");
  ASSERT_EQ(world.ask(world.db(0), "INSERT INTO app.held VALUES (1, 0)"), "");
  ASSERT_TRUE(world.replica_catches_up());
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  {
    const auto holder = world.hold_row(world.db(1));
    ASSERT_EQ(world.ask(world.db(0), "UPDATE app.held SET v = 1"), "");
    EXPECT_TRUE(is_started_again(world)) << world.story();
    EXPECT_TRUE(has(world.last_event("trouble").dump(), "1205")) << world.story();
  }
  world.expect_in_order("db1");
  EXPECT_TRUE(world.replica_catches_up());
  EXPECT_EQ(world.ask(world.db(1), "SELECT v FROM app.held"), "1");
}

// The primary dies while it sends a large transaction, so that its replicas have a part of it. MySQL's
// applier waits for the rest when it is told to stop, for a minute.
TEST(ApplierMySql, PartOfATransactionHoldsUpNothing) {
  World world = World::make({.product = Product::mysql, .servers = 3, .semi_sync = true},
                            {{"replication", {{"semi_sync", "\"required\""}}}});
  ASSERT_NE(world.daemon, nullptr);
  world.ask(world.db(0), "CREATE TABLE app.large (id INT PRIMARY KEY, text LONGTEXT) ENGINE=InnoDB");
  ASSERT_NO_FATAL_FAILURE(world.expect_in_order("db1"));
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());

  // More than any socket holds, so the frozen ones get a part.
  for (const std::size_t i : {1U, 2U}) ASSERT_TRUE(world.db(i).freeze());
  std::thread client([&] {
    auto root = world.db(0).root();
    if (!root) return;
    const auto done = root->execute(
        "INSERT INTO app.large WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 640)"
        " SELECT i, REPEAT('x', 100000) FROM n");
    EXPECT_FALSE(done.has_value()) << "is answered without a replica";
  });
  const auto waits = [&] {
    return world.ask(
               world.db(0),
               "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%semi-sync ACK%'") ==
           "1";
  };
  for (int i = 0; i < 300 && !waits(); ++i) std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(waits()) << world.ask(world.db(0), "SHOW PROCESSLIST");
  world.db(0).kill();
  client.join();
  for (const std::size_t i : {1U, 2U}) ASSERT_TRUE(world.db(i).thaw());

  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  const auto status = world.daemon->status();
  ASSERT_TRUE(status && (*status)["primary"].is_string() && (*status)["primary"] != "db1") << world.story();
  testbed::Server& primary = *world.cluster->find((*status)["primary"].get<std::string>());
  testbed::Server& replica = &primary == &world.db(1) ? world.db(2) : world.db(1);
  const auto follows = world.daemon->wait_status(
      [&](const auto&) { return why_not_following(replica, primary).empty(); }, testbed::Millis(soon));
  EXPECT_TRUE(follows.has_value()) << why_not_following(replica, primary) << world.story();
  for (const std::size_t i : {1U, 2U}) {
    const std::string log = world.db(i).error_log_tail(1000);
    EXPECT_TRUE(has(log, "coordinator and worker threads are stopped")) << "it had no part\n" << log;
  }
  // Nothing of it is there, and nothing holds its rows.
  auto app = world.daemon->connect(world.cluster->accounts().application, "app");
  ASSERT_TRUE(app.has_value());
  EXPECT_TRUE(app->execute("INSERT INTO large VALUES (1, 'mine')").has_value());
  EXPECT_EQ(app->scalar("SELECT COUNT(*) FROM large"), "1");
}

// Somebody kills it. MariaDB's says nothing then, as if it had been stopped by intention.
TEST(ApplierMySql, IsStartedAgainWhenItWasKilled) {
  World world = World::make({.product = Product::mysql});
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  world.ask(world.db(1), "KILL " + world.ask(world.db(1),
                                             "SELECT processlist_id FROM performance_schema.threads"
                                             " WHERE name = 'thread/sql/replica_sql'"));
  EXPECT_TRUE(is_started_again(world)) << world.story();
  world.expect_in_order("db1");
}

}  // namespace
}  // namespace pointsman::live
