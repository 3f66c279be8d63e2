#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/setup_world.h"
#include "tests/live/world.h"
#include "tests/testbed/done.h"

// From bare servers to replication, by the operator's command.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Finished;
using testbed::Millis;

std::string story(const Finished& done) {
  return "--- status " + std::to_string(done.code) + "\n" + done.out + done.err;
}

class SetupTest : public LiveTest {
 protected:
  // MySQL's copies then take seconds, and not half of one.
  void start_with_slow_copies() {
    start({{},
           mariadb() ? std::vector<std::string>{}
                     : std::vector<std::string>{"loose_clone_max_data_bandwidth = 8"}});
  }
  void start(std::vector<std::vector<std::string>> settings = {{}, {}}, Keys keys = {}) {
    world = SetupWorld::make(GetParam(), std::move(settings), std::move(keys));
    ASSERT_NE(world.daemon, nullptr);
  }
  bool mariadb() const { return GetParam() == Product::mariadb; }
  // Waits until `sql` on a server yields something else than `not_yet`.
  std::string wait_for(std::size_t server, const std::string& sql, const std::string& not_yet) {
    std::string answer = not_yet;
    for (const auto until = std::chrono::steady_clock::now() + 60s;
         answer == not_yet && std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(5ms)) {
      answer = world.ask(server, sql);
    }
    return answer;
  }
  // Everything that a setup could change.
  std::string state(std::size_t server) {
    const auto gtid = mariadb() ? "SELECT CONCAT(@@gtid_binlog_state, @@gtid_slave_pos, @@read_only)"
                                : "SELECT CONCAT(@@gtid_executed, @@read_only, @@super_read_only)";
    return world.ask(server, gtid) + " " + world.ask(server, "SELECT GROUP_CONCAT(user) FROM mysql.user") +
           " " + world.ask(server, "SELECT GROUP_CONCAT(schema_name) FROM information_schema.schemata") +
           world.ask(server, "SELECT GROUP_CONCAT(plugin_name) FROM information_schema.plugins");
  }

  SetupWorld world;
};

// Two servers without anything: one command, and the daemon that starts with the accounts that it made finds
// a primary and a replica, and can switch them.
TEST_P(SetupTest, BringsTwoBareServersIntoOrder) {
  ASSERT_NO_FATAL_FAILURE(start());
  const Finished done = world.setup_supervised(1);
  ASSERT_EQ(done.code, 0) << story(done);
  EXPECT_EQ(why_not_following(world.db(1), world.db(0)), "") << story(done);
  EXPECT_TRUE(writable(world.db(0)));
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  ASSERT_TRUE(world.daemon->wait_steady(Millis(20000))) << world.daemon->log_tail();
  const auto switched = world.daemon->command({"switchover"});
  ASSERT_TRUE(switched);
  EXPECT_EQ(switched->code, 0) << switched->out << switched->err << world.daemon->log_tail();
  EXPECT_EQ(why_not_following(world.db(0), world.db(1)), "");
  // A second time there is nothing to do, also beside the daemon.
  const Finished again = world.setup();
  EXPECT_EQ(again.code, 0) << story(again);
  EXPECT_TRUE(has(again.out, "nothing was changed")) << story(again);
}

// The second server has data, the first is empty: the data win, all of them arrive, with what belongs to
// them.
TEST_P(SetupTest, CopiesWhatThePrimaryHas) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(1, 2000);
  const Finished done = world.setup_supervised(0);
  ASSERT_EQ(done.code, 0) << story(done);
  EXPECT_TRUE(has(done.out, "db2 is the primary")) << story(done);
  EXPECT_EQ(world.why_not_copy(1, 0), "") << story(done);
  // What comes later arrives too, and the event runs where it should after a change of roles.
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  ASSERT_TRUE(world.daemon->wait_steady(Millis(20000))) << world.daemon->log_tail();
  const auto switched = world.daemon->command({"switchover"});
  ASSERT_TRUE(switched && switched->code == 0) << (switched ? switched->err : "") << world.daemon->log_tail();
  EXPECT_EQ(wait_for(0, "SELECT status FROM information_schema.events WHERE event_name = 'nightly'",
                     GetParam() == Product::mysql ? "REPLICA_SIDE_DISABLED" : "SLAVESIDE_DISABLED"),
            "ENABLED");
}

// A dry run prints what would be done and changes nothing on any server.
TEST_P(SetupTest, DryRunChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(0, 10);
  const std::string before = state(0) + state(1);
  const Finished done = world.setup({"--dry-run"});
  EXPECT_EQ(done.code, 0) << story(done);
  EXPECT_EQ(state(0) + state(1), before);
  for (const char* part : {"CREATE USER IF NOT EXISTS 'pointsman'@'%'", "GRANT REPLICATION SLAVE", "CHANGE ",
                           "pointsman.proof", "Nothing was changed"}) {
    EXPECT_TRUE(has(done.out, part)) << part << story(done);
  }
  EXPECT_FALSE(has(done.out + done.err, "-secret")) << story(done);
}

// Three servers: both others become replicas of the first.
TEST_P(SetupTest, TakesThreeServers) {
  ASSERT_NO_FATAL_FAILURE(start({{}, {}, {}}));
  const Finished done = world.setup();
  ASSERT_EQ(done.code, 0) << story(done);
  EXPECT_EQ(why_not_following(world.db(1), world.db(0)), "") << story(done);
  EXPECT_EQ(why_not_following(world.db(2), world.db(0)), "") << story(done);
}

// What a dry run prints is what is done: each statement that the servers then hear was told before.
TEST_P(SetupTest, DoesWhatTheDryRunSays) {
  ASSERT_NO_FATAL_FAILURE(start());
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    world.tell(i, {"SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON"});
  }
  const Finished told = world.setup({"--dry-run"});
  ASSERT_EQ(told.code, 0) << story(told);
  const std::string changes =
      "^(CREATE USER|GRANT|SET GLOBAL|CHANGE|START [^T]|STOP|RESET|INSERT|DROP DATABASE|CREATE DATABASE "
      "IF|INSTALL)";
  const std::string log =
      "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Query'"
      " AND user_host LIKE 'root[%'"
      " AND argument REGEXP '" +
      changes + "'";
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    EXPECT_EQ(world.ask(i, "SELECT COUNT(*) FROM (" + log + ") l"), "0");
  }
  const Finished done = world.setup();
  ASSERT_EQ(done.code, 0) << story(done);
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    auto root = world.db(i).root();
    ASSERT_TRUE(root);
    const auto heard = root->query(log);
    ASSERT_TRUE(heard) << heard.error().text;
    EXPECT_FALSE(heard->rows.empty());
    for (const auto& row : heard->rows) {
      // Its first three words; the names and values behind them are known only when it is done.
      std::size_t end = 0;
      const int words = row[0]->starts_with("GRANT") ? 1 : 3;
      for (int word = 0; word < words && end != std::string::npos; ++word) end = row[0]->find(' ', end + 1);
      const std::string line = world.db(i).name() + "> " + row[0]->substr(0, end);
      EXPECT_TRUE(has(told.out, line)) << *row[0] << "\n" << told.out;
    }
  }
}

// A server with data is refused with what it has and the word that would help; with that word it is done.
TEST_P(SetupTest, OverwritesOnlyWhenTold) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(0, 100);
  world.fill(1, 10);
  world.tell(1, {"CREATE TABLE app.errant (id INT PRIMARY KEY)", "CREATE DATABASE other",
                 "CREATE USER intruder@'%'"});
  const Finished refused = world.setup();
  EXPECT_EQ(refused.code, 1) << story(refused);
  EXPECT_TRUE(has(refused.err, "--primary db1 --overwrite db2")) << story(refused);
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM app.errant"), "0");
  const Finished half = world.setup({"--primary", "db1"});
  EXPECT_EQ(half.code, 1);
  EXPECT_TRUE(has(half.err, "--overwrite db2")) << story(half);
  const Finished done = world.setup_supervised(1, {"--primary", "db1", "--overwrite", "db2"});
  ASSERT_EQ(done.code, 0) << story(done);
  EXPECT_EQ(world.why_not_copy(0, 1), "") << story(done);
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'errant'"), "0");
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'other'"),
            "0");
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM mysql.user WHERE user = 'intruder'"), "0");
}

// Replication that somebody else has set up is left alone.
TEST_P(SetupTest, AdoptsRunningReplication) {
  auto cluster = testbed::Cluster::create({.product = GetParam()});
  ASSERT_TRUE(cluster) << cluster.error();
  auto daemon = testbed::Daemon::prepare(testbed::Daemon::options_for(**cluster));
  ASSERT_TRUE(daemon);
  std::vector<std::string> arguments{"setup"};
  for (std::size_t i = 0; i < 2; ++i) {
    arguments.push_back("--admin-socket");
    arguments.push_back((*cluster)->server(i).name() + "=" + (*cluster)->server(i).socket_path().string());
  }
  if (!mariadb()) {  // the testbed's accounts lack what only a copy needs
    auto root = (*cluster)->server(0).root();
    ASSERT_TRUE(root && root->execute("GRANT CLONE_ADMIN ON *.* TO pointsman@'%'") &&
                root->execute("GRANT BACKUP_ADMIN ON *.* TO replica@'%'"));
  }
  const auto position = [&](std::size_t i) {
    auto root = (*cluster)->server(i).root();
    return root ? testbed::executed_gtids(*root, GetParam()).value_or("?") : "?";
  };
  ASSERT_TRUE((*cluster)->wait_caught_up((*cluster)->server(1), (*cluster)->server(0), 20s));
  const std::string before = position(0) + position(1);
  const auto done = (*daemon)->command(arguments);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 0) << story(*done);
  EXPECT_TRUE(has(done->out, "nothing was changed")) << story(*done);
  EXPECT_EQ(position(0) + position(1), before);
}

// Settings that cannot work are all named at once, with the lines to write, and nothing is changed.
TEST_P(SetupTest, NamesWrongSettings) {
  start(
      mariadb()
          ? std::vector<std::vector<std::string>>{{"sync_binlog = 0"},
                                                  {"skip_log_bin", "server_id = 1", "log_slave_updates = 0"}}
          : std::vector<std::vector<std::string>>{
                {"sync_binlog = 0"}, {"gtid_mode = OFF", "enforce_gtid_consistency = OFF", "server_id = 1"}});
  const std::string before = state(0) + state(1);
  const Finished done = world.setup();
  EXPECT_EQ(done.code, 1) << story(done);
  std::vector<const char*> wanted{"sync_binlog = 1", "server_id = 2"};
  if (mariadb()) {
    wanted.insert(wanted.end(), {"log_bin = binlog", "log_slave_updates = 1"});
  } else {
    wanted.insert(wanted.end(), {"gtid_mode = ON", "enforce_gtid_consistency = ON"});
  }
  for (const char* part : wanted) EXPECT_TRUE(has(done.out, part)) << part << story(done);
  EXPECT_EQ(state(0) + state(1), before);
}

// The command is killed in the middle of the copy. Nothing serves, nothing follows, and the same command
// again ends well.
TEST_P(SetupTest, GoesOnAfterItsDeath) {
  ASSERT_NO_FATAL_FAILURE(start_with_slow_copies());
  world.fill(0, 20000);
  const auto log = world.daemon->directory() / "setup.log";
  {
    auto process = world.start_setup(log);
    const std::string begun =
        mariadb() ? "SELECT COUNT(*) FROM pointsman_copy.state JOIN app.big"
                  : "SELECT COUNT(*) FROM performance_schema.clone_progress WHERE STAGE = 'FILE "
                    "COPY' AND STATE = 'In Progress'";
    std::string seen;
    for (const auto until = std::chrono::steady_clock::now() + 60s;
         std::chrono::steady_clock::now() < until;) {
      seen = world.ask(1, begun);
      if ((seen != "0" && !has(seen, "error")) || !process.running()) break;
    }
    EXPECT_FALSE(seen == "0" || has(seen, "error")) << seen << testbed::read_tail(log, 4096);
    process.kill();
  }
  EXPECT_FALSE(writable(world.db(1)));
  const Finished done = world.setup_supervised(1);
  ASSERT_EQ(done.code, 0) << story(done) << testbed::read_tail(log, 4096);
  EXPECT_EQ(world.why_not_copy(0, 1), "") << story(done);
}

// Ctrl-C in the middle of the copy: it is tidied up, and said so.
TEST_P(SetupTest, TidiesUpWhenItIsEnded) {
  ASSERT_NO_FATAL_FAILURE(start_with_slow_copies());
  world.fill(0, 20000);
  const auto log = world.daemon->directory() / "setup.log";
  auto process = world.start_setup(log);
  for (const auto until = std::chrono::steady_clock::now() + 60s;
       std::chrono::steady_clock::now() < until && !has(testbed::read_tail(log, 4096), "copying");) {
    std::this_thread::sleep_for(2ms);
  }
  ASSERT_TRUE(process.send(SIGTERM)) << testbed::read_tail(log, 4096);
  const auto end = process.wait(Millis(60000));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 1) << testbed::read_tail(log, 4096);
  EXPECT_EQ(world.ask(1,
                      "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name IN ('app', "
                      "'pointsman_copy')"),
            "0")
      << testbed::read_tail(log, 4096);
  const Finished done = world.setup_supervised(1);
  EXPECT_EQ(done.code, 0) << story(done);
  EXPECT_EQ(world.why_not_copy(0, 1), "") << story(done);
}

// A daemon runs already over two bare servers, idle: it does not get in the way, and takes over when all is
// done, in the strictest mode.
TEST_P(SetupTest, WorksBesideADaemon) {
  ASSERT_NO_FATAL_FAILURE(start({{}, {}}, {{"replication", {{"semi_sync", "\"required\""}}}}));
  world.fill(0, 2000);
  world.tell(0, {mariadb() ? "SET GLOBAL read_only = ON" : "SET GLOBAL super_read_only = ON"});
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  const auto idle =
      world.daemon->wait_status([](const auto& s) { return s["state"] == "no_primary"; }, Millis(20000));
  ASSERT_TRUE(idle) << idle.error();
  const Finished done = world.setup_supervised(1);
  ASSERT_EQ(done.code, 0) << story(done) << world.daemon->log_tail();
  const auto steady = world.daemon->wait_status(
      [](const auto& s) {
        return s["state"] == "steady" && s["primary"] == "db1" && s["backends"][1]["role"] == "replica";
      },
      Millis(20000));
  EXPECT_TRUE(steady) << steady.error() << world.daemon->log_tail();
  EXPECT_EQ(world.why_not_copy(0, 1), "") << story(done);
}

INSTANTIATE_TEST_SUITE_P(Products, SetupTest, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

}  // namespace
}  // namespace pointsman::live
