#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "health/core/ledger.h"
#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/supervisor.h"

// An old primary comes back with transactions that nobody else has.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;
using testbed::Server;
using testbed::Supervisor;

constexpr auto long_enough = 60s;
constexpr int writers = 8;

Keys with(const std::string& semi_sync, const std::string& discard = "unacknowledged") {
  return {{"replication", {{"semi_sync", "\"" + semi_sync + "\""}}},
          {"failover", {{"max_in_window", "1000"}, {"discard", "\"" + discard + "\""}}}};
}

// Eight writers that do not pause.
class Load {
 public:
  explicit Load(World& world) {
    for (int i = 0; i < writers; ++i)
      writers_.push_back(std::make_unique<Writer>(*world.daemon, *world.cluster, i, writers));
  }
  void stop() {
    for (auto& writer : writers_) writer->stop();
  }
  bool wait_for(std::size_t more) {
    for (auto& writer : writers_) {
      if (!writer->wait_for(more, long_enough)) return false;
    }
    return true;
  }
  std::vector<int> acknowledged() const {
    std::vector<int> all;
    for (const auto& writer : writers_) {
      const auto some = writer->acknowledged();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

 private:
  std::vector<std::unique_ptr<Writer>> writers_;
};

std::string checksum(World& world, std::size_t server) {
  return world.ask(world.db(server),
                   "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS(',', id, writer)))) FROM app.`rows`");
}

void expect_the_same_rows(World& world) {
  const auto deadline = std::chrono::steady_clock::now() + long_enough;
  while (checksum(world, 0) != checksum(world, 1) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(50ms);
  EXPECT_EQ(checksum(world, 0), checksum(world, 1)) << world.story();
}

// Until commits have waited for the replica for a while.
void expect_semi_sync(World& world, Load& load) {
  const auto caught_up = world.daemon->wait_status(
      [](const auto& status) { return status["semi_sync"]["state"] == "on"; }, Millis(long_enough));
  ASSERT_TRUE(caught_up.has_value()) << caught_up.error() << world.story();
  // As far as the ledger looks back.
  const auto known = std::chrono::steady_clock::now() + core::PrimaryLedger::span + 500ms;
  while (std::chrono::steady_clock::now() < known) {
    ASSERT_TRUE(load.wait_for(10)) << world.story();
  }
}

bool taken_back(const nlohmann::json& event) {
  return event.is_object() && event.contains("steps");
}

// The testbed's MariaDB sheds its tail in crash recovery. This one keeps it, as the default is; and shedding
// frees GTIDs, which a direct client's writes then take again, so that nobody can tell them from those of the
// reign.
testbed::Cluster::Options keeping_its_tail(Product product) {
  testbed::Cluster::Options options{.product = product, .semi_sync = true};
  if (product == Product::mariadb) options.settings = {"init_rpl_role = MASTER"};
  return options;
}

class Return : public LiveTest {};
INSTANTIATE_TEST_SUITE_P(Products, Return, testing::Values(Product::mariadb, Product::mysql), product_name);

// Killed under eight writers again and again, each time until it comes back with a tail: what nobody was told
// of is saved and undone, and it is a replica again without a person.
TEST_P(Return, ATailThatNobodyWasToldOfIsTakenBack) {
  World world = World::make(keeping_its_tail(GetParam()), with("preferred"));
  ASSERT_NE(world.daemon, nullptr);
  Load load(world);
  unsigned tails = 0;
  for (unsigned round = 0; round < 2 || (tails == 0 && round < 12); ++round) {
    const std::string victim = round % 2 == 0 ? "db1" : "db2";
    const std::string heir = round % 2 == 0 ? "db2" : "db1";
    expect_semi_sync(world, load);
    if (HasFailure()) return;
    Server& server = *world.cluster->find(victim);
    server.kill();
    const auto moved = world.daemon->wait_status(
        [&](const auto& s) { return s["state"] == "steady" && s["primary"] == heir; }, Millis(long_enough));
    ASSERT_TRUE(moved.has_value()) << moved.error() << world.story();
    const auto before = world.last_event("discard");
    const Supervisor supervisor(server);
    // On an overloaded machine the primary may have stood still for so long that nothing is proved; then it
    // says so.
    const auto role = [&](const nlohmann::json& status) {
      for (const auto& backend : status["backends"]) {
        if (backend["name"] == victim) return backend["role"].get<std::string>();
      }
      return std::string();
    };
    const auto back = world.daemon->wait_status(
        [&](const auto& s) { return role(s) == "replica" || role(s) == "quarantined"; }, Millis(120s));
    ASSERT_TRUE(back.has_value()) << back.error() << world.story();
    const bool proved = role(*back) == "replica";
    if (!proved) {
      ASSERT_TRUE(world.daemon->command({"rejoin", victim, "--discard"}).has_value());
    }
    world.expect_in_order(heir, Millis(120s));
    if (HasFailure()) return;
    const auto event = world.last_event("discard");
    if (event == before || !proved) continue;
    ++tails;
    EXPECT_TRUE(taken_back(event)) << event.dump();
    EXPECT_FALSE(event["lost"].empty()) << event.dump();
  }
  EXPECT_GT(tails, 0U) << "no kill left a tail" << world.story();
  load.stop();
  const auto primary =
      world.daemon->wait_status([](const auto& s) { return s["state"] == "steady"; }, Millis(long_enough));
  ASSERT_TRUE(primary.has_value());
  const auto missing =
      world.missing(*world.cluster->find((*primary)["primary"].get<std::string>()), load.acknowledged());
  EXPECT_TRUE(missing.empty()) << missing.size() << " acknowledged rows lost" << world.story();
  expect_the_same_rows(world);
}

// A client that writes directly to the returned server, before it was made read-only, was answered: nothing
// of it is thrown away but by the operator's word, and then it is saved first.
TEST_P(Return, WhatADirectClientWroteIsKeptUntilTheOperatorDecides) {
  World world = World::make(keeping_its_tail(GetParam()), with("preferred"));
  ASSERT_NE(world.daemon, nullptr);
  {
    Load load(world);
    ASSERT_TRUE(load.wait_for(10)) << world.story();
    load.stop();
  }
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  world.db(0).kill();
  const auto moved = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "steady" && s["primary"] == "db2"; }, Millis(long_enough));
  ASSERT_TRUE(moved.has_value()) << moved.error() << world.story();
  world.daemon->kill();
  ASSERT_TRUE(world.db(0).start().has_value());
  ASSERT_TRUE(world.cluster->set_writable(world.db(0), true));
  {
    auto client = world.db(0).connect(world.cluster->accounts().application, "app");
    ASSERT_TRUE(client.has_value());
    const auto written = client->execute("INSERT INTO `rows` VALUES (1000001, 77)");
    ASSERT_TRUE(written.has_value()) << written.error().text;
  }
  ASSERT_TRUE(world.cluster->set_writable(world.db(0), false));
  ASSERT_TRUE(world.daemon->start().has_value());
  const auto quarantined = world.daemon->wait_status(
      [](const auto& s) { return s["backends"][0]["role"] == "quarantined"; }, Millis(long_enough));
  ASSERT_TRUE(quarantined.has_value()) << quarantined.error() << world.story();
  EXPECT_EQ(world.ask(world.db(0), "SELECT COUNT(*) FROM app.`rows` WHERE id = 1000001"), "1");

  const Supervisor supervisor(world.db(0));
  const auto ordered = world.daemon->command({"rejoin", "db1", "--discard"});
  ASSERT_TRUE(ordered.has_value());
  world.expect_in_order("db2", Millis(180s));
  EXPECT_EQ(world.ask(world.db(0), "SELECT COUNT(*) FROM app.`rows` WHERE id = 1000001"), "0");
  const auto event = world.last_event("discard");
  ASSERT_TRUE(taken_back(event)) << event.dump();
  EXPECT_NE(event["message"].get<std::string>().find("saved in "), std::string::npos) << event.dump();
  expect_the_same_rows(world);
}

// Frozen, replaced, thawed: it goes on where it stood. Under `required` nobody can have been answered there.
TEST(ReturnFrozen, ShedsItsTail) {
  World world = World::make({.semi_sync = true}, with("required"));
  ASSERT_NE(world.daemon, nullptr);
  Load load(world);
  expect_semi_sync(world, load);
  ASSERT_TRUE(world.db(0).freeze());
  const auto moved =
      world.daemon->wait_status([](const auto& s) { return s["primary"] == "db2"; }, Millis(long_enough));
  ASSERT_TRUE(moved.has_value()) << moved.error() << world.story();
  ASSERT_TRUE(world.db(0).thaw());
  const Supervisor supervisor(world.db(0));
  world.expect_in_order("db2", Millis(180s));
  ASSERT_TRUE(load.wait_for(5)) << world.story();
  load.stop();
  EXPECT_TRUE(world.missing(world.db(1), load.acknowledged()).empty()) << world.story();
  expect_the_same_rows(world);
}

// failover.discard = "never": as in the past, it is quarantined, with the reason.
TEST(ReturnDiscard, NeverMeansNever) {
  World world = World::make({.semi_sync = true}, with("required", "never"));
  ASSERT_NE(world.daemon, nullptr);
  Load load(world);
  expect_semi_sync(world, load);
  ASSERT_TRUE(world.db(0).freeze());
  const auto moved =
      world.daemon->wait_status([](const auto& s) { return s["primary"] == "db2"; }, Millis(long_enough));
  ASSERT_TRUE(moved.has_value()) << moved.error() << world.story();
  ASSERT_TRUE(world.db(0).thaw());
  const auto quarantined = world.daemon->wait_status(
      [](const auto& s) { return s["backends"][0]["role"] == "quarantined"; }, Millis(long_enough));
  ASSERT_TRUE(quarantined.has_value()) << quarantined.error() << world.story();
  EXPECT_NE(world.last_event("quarantine")["message"].get<std::string>().find("failover.discard is never"),
            std::string::npos);
  world.daemon->kill();  // the writers wait for a replica
}

}  // namespace
}  // namespace pointsman::live
