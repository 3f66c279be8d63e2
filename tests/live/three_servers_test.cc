#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"

// Three real servers: who takes over, and what becomes of the others.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;

class ThreeServers : public LiveTest {
 protected:
  void start(const Keys& keys, const std::vector<std::map<std::string, std::string>>& of_backends) {
    world_ = World::make({.product = GetParam(), .servers = 3}, keys, of_backends);
    ASSERT_NE(world_.daemon, nullptr);
    ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db1"));
    world_.expect_nothing_in_the_way();
  }
  testbed::Finished type(std::vector<std::string> command) {
    auto done = world_.daemon->command(std::move(command));
    EXPECT_TRUE(done) << done.error();
    return done ? *done : testbed::Finished{};
  }
  void root(std::size_t i, const std::string& statement) {
    auto sql = world_.db(i).root();
    ASSERT_TRUE(sql) << sql.error().text;
    const auto done = sql->execute(statement);
    ASSERT_TRUE(done) << done.error().text;
  }
  void write(int first, std::size_t rows) {
    Writer writer(*world_.daemon, *world_.cluster, first);
    ASSERT_TRUE(writer.wait_for(rows, soon)) << writer.last_error() << world_.story();
    writer.stop();
    const auto ids = writer.acknowledged();
    acknowledged_.insert(acknowledged_.end(), ids.begin(), ids.end());
  }
  void expect_all_rows(std::size_t i, std::size_t primary) {
    if (i != primary) {
      const auto caught_up = world_.cluster->wait_caught_up(world_.db(i), world_.db(primary), soon);
      ASSERT_TRUE(caught_up) << caught_up.error();
    }
    EXPECT_TRUE(world_.missing(world_.db(i), acknowledged_).empty()) << world_.db(i).name();
  }
  void expect_primary(const std::string& name) {
    const auto seen = world_.daemon->wait_status(
        [&](const auto& s) { return s["primary"] == name && s["state"] == "steady"; }, Millis(soon));
    ASSERT_TRUE(seen) << seen.error() << world_.story();
  }
  void expect_status(const std::function<bool(const nlohmann::json&)>& wanted, const char* what) {
    const auto seen = world_.daemon->wait_status(wanted, Millis(soon));
    ASSERT_TRUE(seen) << what << ": " << seen.error() << world_.story();
  }
  std::string choice() const {
    const auto event = world_.last_event("failover");
    for (const auto& step : event["steps"]) {
      if (step["name"] == "choose") return step.value("note", "");
    }
    return "";
  }
  const char* stop_receiver() const {
    return GetParam() == Product::mysql ? "STOP REPLICA IO_THREAD" : "STOP SLAVE IO_THREAD";
  }

  World world_;
  std::vector<int> acknowledged_;
};

INSTANTIATE_TEST_SUITE_P(Each, ThreeServers, testing::Values(Product::mariadb, Product::mysql), product_name);

// db2 stands first, has the higher priority, and has not received the last rows: db3 takes over, db2 is made
// to follow it and gets all rows, and so does the old primary when it is back.
TEST_P(ThreeServers, TheMostAdvancedTakesOver) {
  ASSERT_NO_FATAL_FAILURE(start({}, {{}, {{"priority", "500"}}, {}}));
  ASSERT_NO_FATAL_FAILURE(write(0, 50));
  ASSERT_NO_FATAL_FAILURE(expect_all_rows(1, 0));
  ASSERT_NO_FATAL_FAILURE(root(1, stop_receiver()));
  ASSERT_NO_FATAL_FAILURE(write(1000, 50));
  ASSERT_NO_FATAL_FAILURE(expect_all_rows(2, 0));
  world_.db(0).kill();
  ASSERT_NO_FATAL_FAILURE(expect_primary("db3"));
  EXPECT_NE(choice().find("not db2 (has received "), std::string::npos) << choice();
  EXPECT_NE(choice().find(" less than db3)"), std::string::npos) << choice();
  ASSERT_NO_FATAL_FAILURE(write(2000, 50));
  ASSERT_NO_FATAL_FAILURE(expect_all_rows(1, 2));
  ASSERT_TRUE(testbed::done(world_.db(0).start()));
  ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db3"));
  ASSERT_NO_FATAL_FAILURE(write(3000, 50));
  for (const std::size_t i : {0U, 1U, 2U}) ASSERT_NO_FATAL_FAILURE(expect_all_rows(i, 2));
}

// db2 is never promoted and db3 is: by a failover, and by a switchover back and forth; only by name and by
// force db2 is. The commits wait for db3 alone.
TEST_P(ThreeServers, OneIsNeverPromoted) {
  ASSERT_NO_FATAL_FAILURE(
      start({{"replication", {{"semi_sync", "\"required\""}}}}, {{}, {{"never_promote", "true"}}, {}}));
  const char* role = GetParam() == Product::mysql ? "SELECT @@global.rpl_semi_sync_replica_enabled"
                                                  : "SELECT @@global.rpl_semi_sync_slave_enabled";
  expect_status([&](const auto&) { return world_.ask(world_.db(1), role) == "0"; },
                "db2 does not acknowledge");
  expect_status([&](const auto&) { return world_.ask(world_.db(2), role) == "1"; }, "db3 does");
  ASSERT_NO_FATAL_FAILURE(write(0, 20));
  const auto refused = type({"switchover", "--to", "db2"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("is never to be promoted (never_promote)"), std::string::npos) << refused.err;
  const auto explained = type({"explain"});
  EXPECT_NE(explained.out.find("db2: is never to be promoted"), std::string::npos) << explained.out;
  world_.db(0).kill();
  ASSERT_NO_FATAL_FAILURE(expect_primary("db3"));
  ASSERT_TRUE(testbed::done(world_.db(0).start()));
  ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db3"));
  ASSERT_NO_FATAL_FAILURE(write(1000, 20));
  const auto back = type({"switchover"});
  EXPECT_EQ(back.code, 0) << back.err;
  ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db1"));
  const auto forced = type({"failover", "--to", "db2", "--force"});
  EXPECT_EQ(forced.code, 0) << forced.err;
  ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db2"));
  ASSERT_NO_FATAL_FAILURE(write(2000, 20));
  for (const std::size_t i : {0U, 1U, 2U}) ASSERT_NO_FATAL_FAILURE(expect_all_rows(i, 1));
}

// db3 is made to replicate from db2 by hand, and left there: over a reload, while its source is down, which
// is said, and when its source becomes the primary. With "move_up" it is moved.
TEST_P(ThreeServers, AChainIsKeptOrMovedUp) {
  ASSERT_NO_FATAL_FAILURE(start({}, {}));
  ASSERT_NO_FATAL_FAILURE(root(2, testbed::stop_replication(GetParam())));
  const auto followed = world_.cluster->follow(world_.db(2), world_.db(1));
  ASSERT_TRUE(followed) << followed.error();
  expect_status([](const auto& s) { return s["backends"][2]["chained"] == true; }, "chained");
  ASSERT_NO_FATAL_FAILURE(write(0, 20));
  ASSERT_NO_FATAL_FAILURE(expect_all_rows(2, 0));
  EXPECT_EQ(why_not_following(world_.db(2), world_.db(1)), "");

  world_.db(1).kill();
  expect_status(
      [](const auto& s) {
        return s["backends"][2]["trouble"].dump().find("replicates from db2, which is crashed") !=
               std::string::npos;
      },
      "the lost source");
  ASSERT_TRUE(testbed::done(world_.db(1).start()));
  expect_status([](const auto& s) { return s["backends"][2]["trouble"] == ""; }, "the source is back");
  EXPECT_EQ(why_not_following(world_.db(2), world_.db(1)), "");

  ASSERT_TRUE(world_.daemon->set_keys({{"replication", {{"chained", "\"move_up\""}}}}));
  EXPECT_EQ(type({"reload"}).code, 0);
  ASSERT_NO_FATAL_FAILURE(world_.expect_in_order("db1"));
}

}  // namespace
}  // namespace pointsman::live
