#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"
#include "tests/testbed/supervisor.h"

// A server comes back in a state from which it cannot simply go on. It is a replica again in the end, or in
// quarantine, with words that say what to do.
namespace pointsman::live {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testbed::Millis;
using testbed::Server;

constexpr auto long_enough = 90s;

class Rejoin : public LiveTest {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(start_servers({})); }

  // `settings`: further lines for their my.cnf.
  void start_servers(std::vector<std::string> settings) {
    world = World::make({.product = GetParam(), .settings = std::move(settings), .semi_sync = true},
                        {{"replication", {{"semi_sync", "\"preferred\""}}}});
    ASSERT_NE(world.daemon, nullptr);
    write(10);
  }

  bool mariadb() const { return GetParam() == Product::mariadb; }
  void write(std::size_t rows) {
    Writer writer(*world.daemon, *world.cluster, writers_++, 1000);
    ASSERT_TRUE(writer.wait_for(rows, long_enough)) << world.story();
    writer.stop();
  }
  void expect_ok(Server& server, const std::string& sql) {
    auto root = server.root();
    ASSERT_TRUE(root) << root.error().text;
    const auto done = root->execute(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().text;
  }
  // Until the status of the whole has this text somewhere.
  nlohmann::json wait_for_text(const std::string& text) {
    const auto seen = world.daemon->wait_status(
        [&](const auto& status) { return status.dump().find(text) != std::string::npos; },
        Millis(long_enough));
    EXPECT_TRUE(seen.has_value()) << "no '" << text << "' in " << seen.error() << world.story();
    return seen ? *seen : nlohmann::json();
  }
  void expect_same_rows() {
    const char* sum = "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS(',', id, writer)))) FROM app.`rows`";
    const auto deadline = std::chrono::steady_clock::now() + long_enough;
    while (world.ask(world.db(0), sum) != world.ask(world.db(1), sum) &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(50ms);
    EXPECT_EQ(world.ask(world.db(0), sum), world.ask(world.db(1), sum)) << world.story();
  }
  // db1 replicates from nobody.
  void wait_for_no_source() {
    const auto seen = world.daemon->wait_status(
        [](const auto& s) { return s["backends"][0]["replication"].is_null(); }, Millis(long_enough));
    EXPECT_TRUE(seen.has_value()) << seen.error() << world.story();
  }
  void fail_over() {
    ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
    world.db(0).kill();
    const auto moved = world.daemon->wait_status(
        [](const auto& s) { return s["state"] == "steady" && s["primary"] == "db2"; }, Millis(long_enough));
    ASSERT_TRUE(moved.has_value()) << moved.error() << world.story();
    write(10);
  }

  World world;

 private:
  int writers_ = 0;  // so far; each has rows of its own
};
INSTANTIATE_TEST_SUITE_P(Products, Rejoin, testing::Values(Product::mariadb, Product::mysql), product_name);

// Killed, replaced, started: with nothing of its own it follows at once. On MySQL it comes back under another
// server_uuid, as somebody has deleted auto.cnf.
TEST_P(Rejoin, WithNothingOfItsOwnAndAnotherUuid) {
  fail_over();
  if (HasFatalFailure()) return;
  const auto identity = world.db(0).data_directory() / "auto.cnf";
  EXPECT_EQ(fs::remove(identity), !mariadb());
  const auto started = world.db(0).start();
  ASSERT_TRUE(started) << started.error();
  world.expect_in_order("db2");
  expect_same_rows();
}

// A replica's relay logs are gone when it starts. It does not replicate then, says no error, and does not
// obey `CHANGE MASTER` (MariaDB) or `START REPLICA` (MySQL). What was in them is fetched anew.
class WithoutItsRelayLogs : public Rejoin {
 protected:
  void SetUp() override {}
  void run(const std::string& recovery, bool index_too) {
    ASSERT_NO_FATAL_FAILURE(start_servers({"relay_log_recovery = " + recovery}));
    world.db(1).kill();
    write(10);
    std::size_t removed = 0;
    for (const auto& entry : fs::directory_iterator(world.db(1).data_directory())) {
      const auto name = entry.path().filename().string();
      const bool numbered = name.starts_with("relay.0");
      if ((numbered || (index_too && name == "relay.index")) && fs::remove(entry.path())) ++removed;
    }
    EXPECT_GT(removed, index_too ? 1U : 0U);
    const auto started = world.db(1).start();
    ASSERT_TRUE(started) << started.error();
    world.expect_in_order("db1");
    expect_same_rows();
  }
};
INSTANTIATE_TEST_SUITE_P(Products, WithoutItsRelayLogs, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

TEST_P(WithoutItsRelayLogs, AlthoughItMakesThemAnewAtEachStart) {
  run("ON", false);
}

TEST_P(WithoutItsRelayLogs, AsServersAreSetByDefault) {
  run("OFF", false);
}

TEST_P(WithoutItsRelayLogs, NorTheListOfThem) {
  run("OFF", true);
}

// While a replica was away the primary has purged what it would go on from, or cannot read it any more (error
// 1236). It is quarantined, and an operator's order gives it other data: by a clone, or in words, by which
// command.
class WithoutTheSourcesBinaryLogs : public Rejoin {
 protected:
  // The replica is away, the primary writes on and loses what it would need.
  void lose_touch(const std::function<void(Server&)>& spoil) {
    world.db(1).kill();
    const auto alone = world.daemon->wait_status(
        [](const auto& s) { return s["backends"][1]["verdict"] != "up"; }, Millis(long_enough));
    ASSERT_TRUE(alone.has_value()) << alone.error();
    write(10);
    expect_ok(world.db(0), "FLUSH BINARY LOGS");
    spoil(world.db(0));
  }
  void run(const std::function<void(Server&)>& spoil) {
    ASSERT_NO_FATAL_FAILURE(lose_touch(spoil));
    const testbed::Supervisor supervisor(world.db(1));
    wait_for_text("cannot go on as a replica of db1");
    const auto quarantined = world.daemon->wait_status(
        [](const auto& s) { return s["backends"][1]["role"] == "quarantined"; }, Millis(long_enough));
    EXPECT_TRUE(quarantined.has_value()) << quarantined.error() << world.story();
    EXPECT_NE(world.last_event("quarantine")["message"].get<std::string>().find("error 1"),
              std::string::npos);

    const auto ordered = world.daemon->command({"rejoin", "db2", "--discard"});
    ASSERT_TRUE(ordered.has_value());
    if (mariadb()) {
      EXPECT_EQ(ordered->code, 1);
      EXPECT_NE(ordered->err.find("`pointsman setup --overwrite db2` makes one"), std::string::npos)
          << ordered->err;
      wait_for_text("`pointsman setup --overwrite db2` makes one");
      copy_by_setup();
    }
    world.expect_in_order("db1", Millis(180s));
    expect_same_rows();
  }
  void copy_by_setup() {
    std::vector<std::string> setup{"setup", "--overwrite", "db2"};
    for (std::size_t i = 0; i < 2; ++i) {
      setup.emplace_back("--admin-socket");
      setup.push_back(world.db(i).name() + "=" + world.db(i).socket_path().string());
    }
    expect_done(setup);
  }
  void expect_done(const std::vector<std::string>& command) {
    const auto done = world.daemon->command(command, Millis(180s));
    ASSERT_TRUE(done) << done.error();
    EXPECT_EQ(done->code, 0) << done->out << done->err;
  }
  std::vector<std::string> logs(Server& server) {
    std::vector<std::string> names;
    auto root = server.root();
    const auto list = root ? root->query("SHOW BINARY LOGS") : std::unexpected(root.error());
    EXPECT_TRUE(list) << list.error().text;
    if (!list) return names;
    for (const auto& row : list->rows) names.push_back(row.front().value_or(""));
    return names;
  }
};
INSTANTIATE_TEST_SUITE_P(Products, WithoutTheSourcesBinaryLogs,
                         testing::Values(Product::mariadb, Product::mysql), product_name);

TEST_P(WithoutTheSourcesBinaryLogs, WhichArePurged) {
  run([this](Server& source) {
    // A server keeps one that its crash recovery may still need, for a moment.
    const auto deadline = std::chrono::steady_clock::now() + long_enough;
    while (logs(source).size() > 1 && std::chrono::steady_clock::now() < deadline) {
      expect_ok(source, "PURGE BINARY LOGS TO '" + logs(source).back() + "'");
      std::this_thread::sleep_for(20ms);
    }
    ASSERT_EQ(logs(source).size(), 1U);
  });
}

// As by a bad disk: in the midst of what the replica still needs. MariaDB ends the stream there without a
// word.
TEST_P(WithoutTheSourcesBinaryLogs, WhichAreBroken) {
  const auto spoil = [this](Server& source) {
    const auto names = logs(source);
    ASSERT_GE(names.size(), 2U);
    const auto path = source.data_directory() / names[names.size() - 2];
    constexpr std::streamoff from_end = 600;
    ASSERT_GT(fs::file_size(path), 2U * from_end);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-from_end, std::ios::end);
    file << std::string(from_end / 2, '\xff');
    ASSERT_TRUE(file.flush());
  };
  if (!mariadb()) return run(spoil);
  ASSERT_NO_FATAL_FAILURE(lose_touch(spoil));
  ASSERT_TRUE(testbed::done(world.db(1).start()));
  const auto status = wait_for_text("is connected but has received nothing for ");
  // It is not taken for well.
  EXPECT_NE(status["backends"][1]["trouble"].get<std::string>().find("`pointsman setup --overwrite db2`"),
            std::string::npos)
      << status["backends"][1];
}

// Somebody lets the primary replicate from its replica, so that each does from the other. It is undone, and
// said.
TEST_P(Rejoin, WhenEachReplicatesFromTheOther) {
  const auto followed = world.cluster->follow(world.db(0), world.db(1));
  ASSERT_TRUE(followed) << followed.error();
  ASSERT_TRUE(world.cluster->set_writable(world.db(0), true));
  const auto deadline = std::chrono::steady_clock::now() + long_enough;
  while (world.last_event("trouble").is_null() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(50ms);
  const auto told = world.last_event("trouble");
  ASSERT_FALSE(told.is_null()) << world.story();
  EXPECT_NE(told["message"].get<std::string>().find("replicated although"), std::string::npos) << told;
  wait_for_no_source();
  write(10);
  world.expect_in_order("db1");
  expect_same_rows();
}

// A daemon that starts and finds a ring cannot know who is the primary: nobody is routed, and `status` names
// the command that decides.
TEST_P(Rejoin, WhenTheDaemonFindsARing) {
  world.daemon->kill();
  const auto followed = world.cluster->follow(world.db(0), world.db(1));
  ASSERT_TRUE(followed) << followed.error();
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  const auto status = wait_for_text("replication runs in a ring");
  EXPECT_TRUE(status["primary"].is_null()) << status["primary"];
  const auto decided = world.daemon->command({"failover", "--to", "db1", "--force"});
  ASSERT_TRUE(decided.has_value()) << decided.error();
  EXPECT_EQ(decided->code, 0) << decided->err;
  world.expect_in_order("db1");
  wait_for_no_source();
  write(10);
  expect_same_rows();
}

}  // namespace
}  // namespace pointsman::live
