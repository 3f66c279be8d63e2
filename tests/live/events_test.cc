#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"

// Scheduled events follow the primary: exactly one server runs them.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Events : public LiveTest {
 protected:
  // An event that leaves a row with the number of the server that ran it, each second.
  void start(const std::string& definer, std::vector<std::string> settings = {},
             const std::string& grant = "") {
    world_ = World::make({.product = GetParam(), .settings = std::move(settings)});
    ASSERT_NE(world_.daemon, nullptr);
    auto root = world_.db(0).root();
    ASSERT_TRUE(root);
    if (!grant.empty()) {
      const auto granted = root->execute("GRANT " + grant + " ON *.* TO pointsman@'%'");
      ASSERT_TRUE(granted) << granted.error().text;
      ASSERT_TRUE(world_.daemon->stop());  // privileges are read at the login
      ASSERT_TRUE(world_.replica_catches_up());
      ASSERT_TRUE(testbed::done(world_.daemon->start()));
      ASSERT_TRUE(world_.daemon->wait_steady(testbed::Millis(soon)));
    }
    const auto made = root->execute_all(
        {"CREATE TABLE app.ticks (id INT AUTO_INCREMENT PRIMARY KEY, server INT, at DATETIME(6)) "
         "ENGINE=InnoDB",
         "CREATE DEFINER = " + definer +
             " EVENT app.`tick``s` ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.ticks (server, at) VALUES "
             "(@@global.server_id, NOW(6))"});
    ASSERT_TRUE(made) << made.error().text;
  }
  std::string state(std::size_t i) {
    return world_.ask(world_.db(i),
                      "SELECT CONCAT(status, ' ', definer) FROM information_schema.events WHERE "
                      "event_name = 'tick`s'");
  }
  std::string scheduler(std::size_t i) { return world_.ask(world_.db(i), "SELECT @@global.event_scheduler"); }
  std::size_t rows_of(std::size_t i) {
    return std::stoul(world_.ask(world_.db(i), "SELECT COUNT(*) FROM app.ticks WHERE server = " +
                                                   std::to_string(world_.db(i).server_id())));
  }
  // Server i runs them: two further rows come, and none of the other one.
  void expect_run_by(std::size_t i) {
    const std::size_t other = 1 - i;
    const auto until = Clock::now() + soon;
    while (!state(i).starts_with("ENABLED ") && Clock::now() < until) std::this_thread::sleep_for(20ms);
    EXPECT_TRUE(state(i).starts_with("ENABLED ")) << state(i) << world_.story();
    const auto disabled = [&] {  // MySQL has both words, by version
      const std::string now = state(other);
      return now.starts_with("REPLICA_SIDE_DISABLED ") || now.starts_with("SLAVESIDE_DISABLED ");
    };
    while (!disabled() && Clock::now() < until) std::this_thread::sleep_for(20ms);
    EXPECT_TRUE(disabled()) << state(other);
    EXPECT_EQ(state(i).substr(state(i).find(' ')),
              state(other).substr(state(other).find(' ')));  // the definer
    const std::size_t before = rows_of(i);
    const std::size_t others =
        std::stoul(world_.ask(world_.db(i), "SELECT COUNT(*) FROM app.ticks WHERE server = " +
                                                std::to_string(world_.db(other).server_id())));
    while (rows_of(i) < before + 2 && Clock::now() < until) std::this_thread::sleep_for(50ms);
    EXPECT_GE(rows_of(i), before + 2) << "scheduler " << scheduler(i) << world_.story();
    EXPECT_EQ(std::stoul(world_.ask(world_.db(i), "SELECT COUNT(*) FROM app.ticks WHERE server = " +
                                                      std::to_string(world_.db(other).server_id()))),
              others);
  }
  void switch_to(const std::string& name) {
    const auto done = world_.daemon->command({"switchover", "--to", name});
    ASSERT_TRUE(done);
    ASSERT_EQ(done->code, 0) << done->out << done->err << world_.story();
    world_.expect_in_order(name);
  }

  World world_;
};
INSTANTIATE_TEST_SUITE_P(Each, Events, testing::Values(Product::mariadb, Product::mysql), product_name);

// There and back again, the scheduler on at both servers.
TEST_P(Events, FollowThePrimary) {
  ASSERT_NO_FATAL_FAILURE(start("app@'%'", {"event_scheduler = ON"}));
  expect_run_by(0);
  for (int round = 0; round < 2; ++round) {
    ASSERT_NO_FATAL_FAILURE(switch_to("db2"));
    expect_run_by(1);
    ASSERT_NO_FATAL_FAILURE(switch_to("db1"));
    expect_run_by(0);
  }
}

// The event's definer may write to a read-only server, and the scheduler was never on at the target: where
// our account may, it is stopped on the old primary before that is read-only, and started on the new one.
TEST_P(Events, SchedulerFollowsToo) {
  const bool mysql = GetParam() == Product::mysql;
  ASSERT_NO_FATAL_FAILURE(start("root@localhost", {"event_scheduler = OFF"}, mysql ? "" : "SUPER"));
  ASSERT_EQ(world_.ask(world_.db(0), "SET GLOBAL event_scheduler = ON"), "");
  const auto seen = [&] { return world_.daemon->status().has_value(); };
  ASSERT_TRUE(seen());
  std::this_thread::sleep_for(1s);  // several probes
  expect_run_by(0);
  for (const std::size_t to : {1U, 0U, 1U}) {
    ASSERT_NO_FATAL_FAILURE(switch_to(world_.db(to).name()));
    expect_run_by(to);
    EXPECT_EQ(scheduler(to), "ON");
    EXPECT_EQ(scheduler(1 - to), "OFF");
  }
}

// A switchover that is undone leaves the scheduler as it was.
TEST_P(Events, UndoRestoresTheScheduler) {
  const bool mysql = GetParam() == Product::mysql;
  ASSERT_NO_FATAL_FAILURE(start("app@'%'", {"event_scheduler = ON"}, mysql ? "" : "SUPER"));
  auto busy = world_.db(0).root();
  ASSERT_TRUE(busy && busy->execute("CREATE TABLE app.held (v INT)"));
  ASSERT_TRUE(busy->execute("INSERT INTO app.held VALUES (1)"));
  std::thread statement([&] { (void)busy->execute("UPDATE app.held SET v = SLEEP(4)"); });
  std::this_thread::sleep_for(200ms);
  const auto done = world_.daemon->command({"switchover", "--max-wait", "0s"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 1) << done->out;
  statement.join();
  const auto until = Clock::now() + soon;
  while (scheduler(0) != "ON" && Clock::now() < until) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(scheduler(0), "ON") << world_.story();
  expect_run_by(0);
}

// MariaDB's scheduler cannot be started by our account: that is found out before, and nothing is changed.
TEST(EventsMariaDb, SchedulerThatWeMayNotStart) {
  World world = World::make({.settings = {"event_scheduler = OFF"}});
  ASSERT_NE(world.daemon, nullptr);
  auto root = world.db(0).root();
  ASSERT_TRUE(root);
  ASSERT_TRUE(root->execute_all(
      {"SET GLOBAL event_scheduler = ON", "CREATE EVENT app.tick ON SCHEDULE EVERY 1 DAY DO DO 1"}));
  ASSERT_TRUE(world.replica_catches_up());
  for (const bool dry : {true, false}) {
    std::vector<std::string> command = {"switchover"};
    if (dry) command.emplace_back("--dry-run");
    const auto done = world.daemon->command(command);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->code, 1) << done->out;
    EXPECT_NE(done->err.find("SET GLOBAL event_scheduler = ON there first"), std::string::npos) << done->err;
  }
  ASSERT_EQ(world.ask(world.db(1), "SET GLOBAL event_scheduler = ON"), "");
  const auto done = world.daemon->command({"switchover"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 0) << done->err;
  EXPECT_NE(done->out.find("could not be stopped by us"), std::string::npos) << done->out;
}

}  // namespace
}  // namespace pointsman::live
