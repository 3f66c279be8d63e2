#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"

// The daemon is killed in each step of a switchover on real servers, and started again at once: one primary
// in the end, every acknowledged row, the scheduled events enabled there and nowhere else.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testbed::Millis;
using testbed::Sql;

class KilledInSwitchover : public LiveTest {
 protected:
  void start() {
    world_ =
        World::make({.product = GetParam(), .semi_sync = true},
                    {{"replication", {{"semi_sync", "\"required\""}}}, {"log", {{"level", "\"debug\""}}}});
    ASSERT_NE(world_.daemon, nullptr);
    auto root = world_.db(0).root();
    ASSERT_TRUE(root);
    const auto made = root->execute_all({"CREATE TABLE app.held (id INT PRIMARY KEY, v INT) ENGINE=InnoDB",
                                         "INSERT INTO app.held VALUES (1, 0)",
                                         "CREATE DEFINER = app@'%' EVENT app.nightly ON SCHEDULE EVERY 1 DAY "
                                         "STARTS CURRENT_TIMESTAMP + INTERVAL 1"
                                         " DAY DO DELETE FROM app.held"});
    ASSERT_TRUE(made) << made.error().text;
    ASSERT_TRUE(world_.cluster->wait_caught_up(world_.db(1), world_.db(0), soon));
    writer_ = std::make_unique<Writer>(*world_.daemon, *world_.cluster);
  }
  // The operator, who tries again while it is refused; what he is told when the daemon dies does not matter.
  std::future<void> switch_over() {
    return std::async(std::launch::async, [this] {
      for (const auto until = Clock::now() + soon; Clock::now() < until; std::this_thread::sleep_for(20ms)) {
        const auto done = world_.daemon->command({"switchover"});
        if (!done || !has(done->err, "nothing was changed")) return;
      }
    });
  }
  // The log has said so since it was `from` bytes long.
  bool reached(const std::string& step, std::uintmax_t from) {
    const std::string wanted = "switchover " + step + ": ";
    std::ifstream log(world_.daemon->log_file());
    log.seekg(static_cast<std::streamoff>(from));
    std::string line;
    std::string read;  // of a line that may not be whole yet
    for (const auto until = Clock::now() + soon; Clock::now() < until; std::this_thread::sleep_for(1ms)) {
      while (std::getline(log, line)) {
        read += line;
        if (has(read, wanted)) return true;
        if (!log.eof()) read.clear();
      }
      log.clear();
    }
    return false;
  }
  void restart() {
    world_.daemon->kill();
    EXPECT_LE(writable_servers(), 1U);
    ASSERT_TRUE(testbed::done(world_.daemon->start()));
  }
  std::size_t writable_servers() {
    return static_cast<std::size_t>(writable(world_.db(0))) +
           static_cast<std::size_t>(writable(world_.db(1)));
  }
  std::string event_on(std::size_t i) {
    return world_.ask(world_.db(i),
                      "SELECT status FROM information_schema.events WHERE event_name = 'nightly'");
  }
  // Returns the primary's name.
  std::string expect_serviceable(const std::string& what) {
    SCOPED_TRACE(what);
    EXPECT_TRUE(writer_->wait_for(10, soon)) << writer_->last_error() << world_.story();
    const auto status =
        world_.daemon->wait_status([](const auto& s) { return s["state"] == "steady"; }, Millis(soon));
    EXPECT_TRUE(status) << status.error();
    if (!status || testing::Test::HasFatalFailure()) return "";
    const std::string primary = (*status)["primary"];
    world_.expect_in_order(primary);
    const std::size_t at = primary == "db1" ? 0 : 1;
    EXPECT_TRUE(world_.missing(world_.db(at), writer_->acknowledged()).empty()) << world_.story();
    const auto until = Clock::now() + soon;
    while ((event_on(at) != "ENABLED" || event_on(1 - at) == "ENABLED") && Clock::now() < until)
      std::this_thread::sleep_for(20ms);
    EXPECT_EQ(event_on(at), "ENABLED") << world_.story();
    EXPECT_NE(event_on(1 - at), "ENABLED") << world_.story();
    return primary;
  }
  // A statement on the primary that the step read_only has to wait for.
  std::future<void> hold_primary(std::size_t i, const char* seconds) {
    return std::async(std::launch::async, [this, i, seconds] {
      auto sql = world_.db(i).root();
      if (sql)
        (void)sql->execute(std::string("UPDATE app.held SET v = v + 1 + SLEEP(") + seconds +
                           ") WHERE id = 1");
    });
  }
  struct CatchingUp {
    Sql holder;  // of a row on the target that the last transaction of the primary changes
    std::future<void> held;
    std::future<void> answer;
  };
  // A switchover that cannot catch up before the row is let go.
  CatchingUp switch_over_to_a_held_row() {
    Sql holder = world_.hold_row(world_.db(1));
    auto held = hold_primary(0, "1.2");
    std::this_thread::sleep_for(200ms);
    return {.holder = std::move(holder), .held = std::move(held), .answer = switch_over()};
  }

  World world_;
  std::unique_ptr<Writer> writer_;
};
INSTANTIATE_TEST_SUITE_P(Each, KilledInSwitchover, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// read_only: the primary is held up by a statement. The order waits in the server when its daemon is dead,
// and takes effect when the next one has adopted a primary that is writable: that is noticed and taken back.
TEST_P(KilledInSwitchover, WhileThePrimaryIsToBecomeReadOnly) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(writer_->wait_for(10, soon));
  auto held = hold_primary(0, "1.9");
  std::this_thread::sleep_for(200ms);
  auto answer = switch_over();
  ASSERT_TRUE(reached("read_only", 0));
  std::this_thread::sleep_for(100ms);
  ASSERT_NO_FATAL_FAILURE(restart());
  answer.get();
  held.get();
  EXPECT_EQ(expect_serviceable("read_only"), "db1");
}

// catch_up: somebody holds a row on the target.
TEST_P(KilledInSwitchover, WhileTheTargetCatchesUp) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(writer_->wait_for(10, soon));
  CatchingUp at = switch_over_to_a_held_row();
  ASSERT_TRUE(reached("catch_up", 0));
  ASSERT_NO_FATAL_FAILURE(restart());
  EXPECT_EQ(writable_servers(), 0U);
  at.answer.get();
  at.held.get();
  EXPECT_TRUE(at.holder.execute("ROLLBACK"));
  EXPECT_EQ(expect_serviceable("catch_up"), "db1");
}

// promote: the target is frozen when it has caught up, and thaws when the daemon has been killed.
TEST_P(KilledInSwitchover, WhileTheTargetIsPromoted) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(writer_->wait_for(10, soon));
  CatchingUp at = switch_over_to_a_held_row();
  ASSERT_TRUE(reached("catch_up", 0));
  // From here to the promotion it is a matter of milliseconds: whichever step the freeze meets is good.
  EXPECT_TRUE(at.holder.execute("ROLLBACK"));
  std::this_thread::sleep_for(2ms);
  ASSERT_TRUE(world_.db(1).freeze());
  std::this_thread::sleep_for(50ms);
  world_.daemon->kill();
  ASSERT_TRUE(world_.db(1).thaw());
  EXPECT_LE(writable_servers(), 1U);
  ASSERT_TRUE(testbed::done(world_.daemon->start()));
  at.answer.get();
  at.held.get();
  EXPECT_NE(expect_serviceable("promote"), "");
}

// repoint: the old primary is frozen while it is to follow.
TEST_P(KilledInSwitchover, WhileTheOldPrimaryIsToFollow) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(writer_->wait_for(10, soon));
  auto answer = switch_over();
  ASSERT_TRUE(reached("repoint", 0));
  ASSERT_TRUE(world_.db(0).freeze());
  world_.daemon->kill();
  ASSERT_TRUE(world_.db(0).thaw());
  EXPECT_LE(writable_servers(), 1U);
  ASSERT_TRUE(testbed::done(world_.daemon->start()));
  answer.get();
  EXPECT_EQ(expect_serviceable("repoint"), "db2");
}

// Twenty switchovers, each killed 0 to 40 ms after its first step began.
TEST_P(KilledInSwitchover, AtAnyMoment) {
  ASSERT_NO_FATAL_FAILURE(start());
  const char* given = std::getenv("POINTSMAN_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("POINTSMAN_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::map<std::string, int> ended;
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(writer_->wait_for(10, soon)) << writer_->last_error() << world_.story();
    const auto delay = std::chrono::microseconds(random() % 40'000);
    const auto log_begins = std::filesystem::file_size(world_.daemon->log_file());
    auto answer = switch_over();
    ASSERT_TRUE(reached("close_route", log_begins)) << world_.story();
    std::this_thread::sleep_for(delay);
    ASSERT_NO_FATAL_FAILURE(restart());
    answer.get();
    ++ended[expect_serviceable("round " + std::to_string(round) + ", killed after " +
                               std::to_string(delay.count()) + " us")];
    if (HasFailure()) return;
  }
  for (const auto& [primary, times] : ended)
    std::printf("%s was the primary after %d kills\n", primary.c_str(), times);
}

}  // namespace
}  // namespace pointsman::live
