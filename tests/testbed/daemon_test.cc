#include "tests/testbed/daemon.h"

#include <gtest/gtest.h>

#include "tests/testbed/done.h"

namespace pointsman::testbed {
namespace {

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Cluster::create({.product = Product::mariadb, .servers = 2});
    ASSERT_TRUE(made) << made.error();
    cluster = std::move(*made);
  }
  std::unique_ptr<Cluster> cluster;
};

// The daemon over a fresh cluster finds the primary by itself, and a client that connects to it writes there;
// killed and started again on its state it does so again, at the same address.
TEST_F(DaemonTest, RoutesToThePrimaryAlsoAfterItsOwnDeath) {
  auto made = Daemon::create(Daemon::options_for(*cluster));
  ASSERT_TRUE(made) << made.error();
  Daemon& daemon = **made;
  const auto status = daemon.status();
  ASSERT_TRUE(status) << status.error();
  EXPECT_EQ(status->at("primary"), "db1");
  auto app = daemon.connect(cluster->accounts().application, "app");
  ASSERT_TRUE(app) << app.error().text;
  ASSERT_TRUE(app->execute("CREATE TABLE t (id INT PRIMARY KEY)"));
  EXPECT_EQ(app->scalar("SELECT @@server_id"), "1");

  daemon.kill();
  EXPECT_FALSE(daemon.running());
  EXPECT_FALSE(daemon.status());
  ASSERT_TRUE(done(daemon.start()));
  const auto steady = daemon.wait_steady(Millis(20000));
  ASSERT_TRUE(steady) << steady.error();
  auto again = daemon.connect(cluster->accounts().application, "app");
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_TRUE(again->execute("INSERT INTO t VALUES (1)"));
  const auto stopped = daemon.stop();
  ASSERT_TRUE(stopped) << stopped.error();
  EXPECT_EQ(*stopped, 0) << daemon.log_tail();
}

// Keys of the caller win over ours, and what the daemon says of a bad one reaches the caller.
TEST_F(DaemonTest, TakesKeysAndSaysWhyItEnds) {
  auto options = Daemon::options_for(*cluster);
  options.keys["failover"]["automatic"] = "false";
  auto made = Daemon::create(std::move(options));
  ASSERT_TRUE(made) << made.error();
  Daemon& daemon = **made;
  EXPECT_EQ(daemon.status()->at("automatic"), false);
  ASSERT_TRUE(daemon.stop());
  ASSERT_TRUE(daemon.set_keys({{"proxy", {{"no_such_key", "1"}}}}));
  ASSERT_TRUE(done(daemon.start()));
  const auto steady = daemon.wait_steady(Millis(20000));
  ASSERT_FALSE(steady);
  EXPECT_TRUE(steady.error().contains("no_such_key")) << steady.error();
}

// An operator's command that is refused comes back with its status and its reason.
TEST_F(DaemonTest, HandsBackWhatACommandSays) {
  auto made = Daemon::create(Daemon::options_for(*cluster));
  ASSERT_TRUE(made) << made.error();
  const auto refused = (*made)->command({"switchover", "--to", "nobody"});
  ASSERT_TRUE(refused) << refused.error();
  EXPECT_EQ(refused->code, 1) << refused->out;
  EXPECT_TRUE(refused->err.contains("nobody")) << refused->err;
  const auto events = (*made)->events();
  EXPECT_TRUE(events) << events.error();
}

}  // namespace
}  // namespace pointsman::testbed
