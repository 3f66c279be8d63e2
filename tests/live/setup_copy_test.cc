#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "health/setup/copy.h"
#include "tests/live/setup_world.h"
#include "tests/live/writer.h"

// The copy by itself, as the daemon would use it, and what the whole way is worth while clients write.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using setup::CopyFailure;
using setup::CopyOrder;
using setup::CopyProgress;

class CopyTest : public LiveTest {
 protected:
  bool mariadb() const { return GetParam() == Product::mariadb; }
  void start(std::vector<std::vector<std::string>> settings = {{}, {}}) {
    world = SetupWorld::make(GetParam(), std::move(settings));
    ASSERT_NE(world.daemon, nullptr);
  }
  // db2 becomes a copy of db1, as root over the sockets.
  CopyOrder order() {
    const auto end = [&](std::size_t i) {
      return setup::Endpoint{world.db(i).name(), {world.db(i).socket_path().string(), 0}, {"root", "", ""}};
    };
    return {.donor = end(0),
            .recipient = end(1),
            .donor_address = world.db(0).address(),
            .donor_login = {"replica", "", "replica-secret"},
            .overwrite = false,
            .restart_timeout = 60s};
  }
  std::expected<setup::CopyResult, CopyFailure> copy(const CopyOrder& wish, const mysql::Waker& bell,
                                                     const setup::OnProgress& tell = {}) {
    std::unique_ptr<Supervisor> supervisor;
    if (!mariadb()) supervisor = std::make_unique<Supervisor>(world.db(1));
    return setup::copy_data(wish, bell, tell);
  }
  void add_replica_account() {
    world.tell(0, {"CREATE USER replica@'%' IDENTIFIED BY 'replica-secret'",
                   mariadb() ? "GRANT REPLICATION SLAVE ON *.* TO replica@'%'"
                             : "GRANT REPLICATION SLAVE, BACKUP_ADMIN ON *.* TO replica@'%'"});
  }
  std::string gtids(std::size_t i) {
    return world.ask(i, mariadb() ? "SELECT @@gtid_binlog_pos" : "SELECT @@gtid_executed");
  }

  SetupWorld world;
  mysql::Waker cancel;
};

// A server with data is refused unless told; with the word it becomes equal, and the progress says what goes
// on.
TEST_P(CopyTest, ReplacesDataOnlyWhenTold) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(0, 1000);
  world.fill(1, 10);
  add_replica_account();
  auto wish = order();
  const auto refused = copy(wish, cancel);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().left, CopyFailure::Left::untouched);
  EXPECT_NE(refused.error().cause.text.find("has data"), std::string::npos) << refused.error().cause.text;
  wish.overwrite = true;
  bool copied = false;
  const auto done = copy(wish, cancel, [&](const CopyProgress& progress) {
    copied = copied || progress.stage == CopyProgress::Stage::copying;
  });
  ASSERT_TRUE(done) << done.error().cause.text;
  EXPECT_TRUE(copied);
  EXPECT_EQ(gtids(0), gtids(1));
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM app.big"), world.ask(0, "SELECT COUNT(*) FROM app.big"));
  EXPECT_FALSE(writable(world.db(1)));
}

// A copy that cannot begin leaves the recipient as it was, its data included.
TEST_P(CopyTest, LosesNothingWhenItCannotBegin) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(0, 10);
  world.fill(1, 10);
  add_replica_account();
  auto wish = order();
  wish.overwrite = true;
  if (mariadb()) {
    world.tell(0,
               {"CREATE USER little@'%' IDENTIFIED BY 'x'", "GRANT SELECT, SHOW VIEW ON *.* TO little@'%'"});
    wish.donor = {"db1", world.db(0).address(), {"little", "", "x"}};
  } else {
    wish.donor_login.password = "wrong";
  }
  const auto before = gtids(1);
  const auto done = copy(wish, cancel);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().left, CopyFailure::Left::untouched) << done.error().cause.text;
  EXPECT_EQ(done.error().cause.text.find("wrong"), std::string::npos) << done.error().cause.text;
  EXPECT_EQ(gtids(1), before);
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM app.seen"), "1");
}

// MySQL clones InnoDB only, and would leave the other tables empty without a word. MariaDB copies them.
TEST_P(CopyTest, LeavesNoTableEmpty) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.fill(0, 10);
  world.tell(0, {"CREATE TABLE app.old (id INT) ENGINE = MyISAM", "INSERT INTO app.old VALUES (1)"});
  add_replica_account();
  const auto done = copy(order(), cancel);
  if (mariadb()) {
    ASSERT_TRUE(done) << done.error().cause.text;
    EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM app.old"), "1");
  } else {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().left, CopyFailure::Left::untouched);
    EXPECT_NE(done.error().cause.text.find("app.old"), std::string::npos) << done.error().cause.text;
  }
}

// Given up in the middle: the recipient is empty, and the next try works.
TEST_P(CopyTest, IsGivenUpInOrder) {
  ASSERT_NO_FATAL_FAILURE(
      start({{},
             mariadb() ? std::vector<std::string>{}
                       : std::vector<std::string>{"loose_clone_max_data_bandwidth = 8"}}));
  world.fill(0, 20000);
  add_replica_account();
  std::atomic<bool> rung = false;
  const auto done = copy(order(), cancel, [&](const CopyProgress& progress) {
    if (progress.stage == CopyProgress::Stage::copying && progress.bytes > 1 << 20 && !rung.exchange(true))
      cancel.ring();
  });
  ASSERT_FALSE(done);
  EXPECT_TRUE(rung);
  EXPECT_EQ(done.error().left, CopyFailure::Left::empty) << done.error().cause.text;
  EXPECT_EQ(world.ask(1,
                      "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name IN ('app', "
                      "'pointsman_copy')"),
            "0");
  EXPECT_FALSE(writable(world.db(1)));
  cancel.clear();
  const auto again = copy(order(), cancel);
  ASSERT_TRUE(again) << again.error().cause.text;
  EXPECT_EQ(gtids(0), gtids(1));
}

// Two clients write all the time. No row is missing on the copy and none comes twice, and nothing stops
// replication.
TEST_P(CopyTest, CopiesWhileClientsWrite) {
  // One applier is no match for the writers.
  const auto parallel =
      mariadb() ? std::vector<std::string>{"slave_parallel_threads = 8"} : std::vector<std::string>{};
  ASSERT_NO_FATAL_FAILURE(start({parallel, parallel}));
  world.fill(0, 5000);
  world.tell(0, {World::table});
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 2; ++i) {
    const auto log_in = [this] { return world.db(0).connect({"app", "app-secret"}, "app"); };
    writers.push_back(
        std::make_unique<Writer>(log_in, i, 2, 2ms));  // or a busy machine's applier never catches up
  }
  for (const auto& writer : writers) ASSERT_TRUE(writer->wait_for(20, 60s)) << writer->last_error();
  const auto done = world.setup_supervised(1);
  for (const auto& writer : writers) EXPECT_TRUE(writer->wait_for(20, 60s)) << writer->last_error();
  for (const auto& writer : writers) writer->stop();
  ASSERT_EQ(done.code, 0) << done.out << done.err;
  const std::string rows = "SELECT CONCAT(COUNT(*), ' ', SUM(id)) FROM app.`rows`";
  const std::string wanted = world.ask(0, rows);
  std::string seen;
  for (const auto until = std::chrono::steady_clock::now() + 60s;
       seen != wanted && std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(10ms)) {
    seen = world.ask(1, rows);
  }
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(world.why_not_copy(0, 1), "") << done.out << done.err;
}

INSTANTIATE_TEST_SUITE_P(Products, CopyTest, testing::Values(Product::mariadb, Product::mysql), product_name);

// MySQL: the accounts that `setup` makes are enough for a copy, and not without what they have for it.
TEST(CopyByTheMonitor, NeedsWhatItIsGiven) {
  auto world = SetupWorld::make(Product::mysql);
  ASSERT_NE(world.daemon, nullptr);
  const auto done = world.setup_supervised(1);
  ASSERT_EQ(done.code, 0) << done.out << done.err;
  world.fill(0, 100);
  const conf::Account monitor{"pointsman", "", "monitor-secret"};
  const CopyOrder order{.donor = {"db1", world.db(0).address(), monitor},
                        .recipient = {"db2", world.db(1).address(), monitor},
                        .donor_address = world.db(0).address(),
                        .donor_login = {"replica", "", "replica-secret"},
                        .overwrite = true,
                        .restart_timeout = 60s};
  const mysql::Waker cancel;
  const Supervisor supervisor(world.db(1));
  for (const auto& [privilege, account] : std::vector<std::pair<std::string, std::string>>{
           {"CLONE_ADMIN", "pointsman@'%'"}, {"BACKUP_ADMIN", "replica@'%'"}}) {
    world.tell(0, {"REVOKE " + privilege + " ON *.* FROM " + account});
    world.tell(1, {"SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = 0"});
    {
      auto root = world.db(1).root();
      ASSERT_TRUE(root && root->execute("SET SESSION sql_log_bin = 0"));
      (void)root->execute("REVOKE " + privilege + " ON *.* FROM " + account);
    }
    const auto refused = setup::copy_data(order, cancel, {});
    ASSERT_FALSE(refused) << privilege;
    EXPECT_EQ(refused.error().left, CopyFailure::Left::untouched) << privilege;
    EXPECT_NE(refused.error().cause.text.find(privilege), std::string::npos) << refused.error().cause.text;
    world.tell(0, {"GRANT " + privilege + " ON *.* TO " + account});
    auto root = world.db(1).root();  // a new one, as the copy ends all sessions
    ASSERT_TRUE(root && root->execute_all({"SET SESSION sql_log_bin = 0", "SET GLOBAL super_read_only = OFF",
                                           "GRANT " + privilege + " ON *.* TO " + account}));
  }
  const auto copied = setup::copy_data(order, cancel, {});
  ASSERT_TRUE(copied) << copied.error().cause.text;
  EXPECT_EQ(world.ask(1, "SELECT COUNT(*) FROM app.big"), world.ask(0, "SELECT COUNT(*) FROM app.big"));
}

}  // namespace
}  // namespace pointsman::live
