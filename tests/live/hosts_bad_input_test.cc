#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/hosts_world.h"
#include "tests/testbed/datagram_flood.h"
#include "tests/testbed/done.h"

// Agents that are not what the daemon's configuration says, and devices that are not there: each time it is
// said in words where an operator looks, and nothing else happens.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;

class HostsBadInput : public HostsTest {
 protected:
  // After prepare(): starts all, until the daemon is steady. Links may be anything.
  void start_anyhow() {
    const auto started = hosts_->start();
    ASSERT_TRUE(started) << started.error();
    const auto steady = daemon().wait_steady(soon);
    ASSERT_TRUE(steady) << steady.error();
    at_first_ = status();
  }
  void restart_agent(std::size_t db) {
    agent(db).kill();
    const auto started = agent(db).start();
    ASSERT_TRUE(started) << started.error();
  }
  // Both links of each server live, and nothing was failed over.
  void expect_well() {
    const auto ready = hosts_->wait_ready(soon);
    ASSERT_TRUE(ready) << ready.error();
    expect_no_failover();
  }
};

// db1's agent and the daemon have different keys. Both say so; with the same keys all is well.
TEST_F(HostsBadInput, DifferentKeys) {
  ASSERT_NO_FATAL_FAILURE(prepare({}));
  ASSERT_TRUE(agent(0).set_authkeys(testbed::authkeys_text("a-key-that-nobody-else-has-on-this-earth")));
  ASSERT_NO_FATAL_FAILURE(start_anyhow());
  wait_link(1, "udp", "alive");
  wait_warning({"db1", "authkeys"});
  EXPECT_TRUE(has_words(daemon().log(), {"authkeys", "keys of"})) << daemon().log_tail();
  EXPECT_TRUE(agent(0).wait_log("authkeys", soon));
  EXPECT_NE(status()["backends"][0]["links"]["udp"]["state"], "alive");
  ASSERT_TRUE(agent(0).set_authkeys(testbed::Hosts::authkeys()));
  ASSERT_NO_FATAL_FAILURE(restart_agent(0));
  ASSERT_NO_FATAL_FAILURE(expect_well());
  wait_no_warning();
}

// db1's agent goes by a name that no backend has.
TEST_F(HostsBadInput, UnknownNode) {
  ASSERT_NO_FATAL_FAILURE(prepare({}));
  ASSERT_TRUE(agent(0).set_keys({{"heartbeat", {{"node", "\"stranger\""}}}}));
  ASSERT_NO_FATAL_FAILURE(start_anyhow());
  wait_link(1, "udp", "alive");
  wait_warning({"stranger"});
  EXPECT_TRUE(has_words(daemon().log(), {"stranger"}));
  ASSERT_TRUE(agent(0).set_keys({}));
  ASSERT_NO_FATAL_FAILURE(restart_agent(0));
  ASSERT_NO_FATAL_FAILURE(expect_well());
  wait_no_warning();
}

// db2's agent goes by the name of db1, whose own agent lives, too. What it says of its server is not taken
// for db1's: nobody is promoted although it sees its mysqld, a replica, killed.
TEST_F(HostsBadInput, TwoAgentsOfOneName) {
  ASSERT_NO_FATAL_FAILURE(start({}));
  const auto writer = write_through();
  ASSERT_TRUE(agent(1).set_keys({{"heartbeat", {{"node", "\"db1\""}}}}));
  ASSERT_NO_FATAL_FAILURE(restart_agent(1));
  const std::string warning = wait_warning({"db1", "two", "name"});
  EXPECT_TRUE(has_words(daemon().log(), {"db1", "name"})) << warning;
  db(1).kill();
  wait_for("db2 is down", [](const json& s) { return s["backends"][1]["verdict"] != "up"; });
  expect_writes(*writer);
  expect_no_failover();
  ASSERT_TRUE(agent(1).set_keys({}));
  ASSERT_NO_FATAL_FAILURE(restart_agent(1));
  ASSERT_TRUE(testbed::done(db(1).start()));
  ASSERT_NO_FATAL_FAILURE(expect_well());
  wait_no_warning();
}

// The serial devices do not exist when the programs start, db1's on the proxy's side, db2's on its own side,
// and appear later, as USB adapters do.
TEST_F(HostsBadInput, SerialDeviceAppearsLater) {
  using Side = testbed::SerialLine::Side;
  ASSERT_NO_FATAL_FAILURE(prepare({}));
  hosts_->line(0).unplug(Side::a);
  hosts_->line(1).unplug(Side::b);
  ASSERT_NO_FATAL_FAILURE(start_anyhow());
  for (const std::size_t i : {0U, 1U}) {
    wait_link(i, "udp", "alive");
    wait_warning({"serial", hosts_->name(i)});
  }
  EXPECT_TRUE(has_words(daemon().log(), {hosts_->line(0).device(Side::a).string()}));
  EXPECT_TRUE(agent(1).wait_log(hosts_->line(1).device(Side::b).string(), soon));
  ASSERT_TRUE(hosts_->line(0).plug(Side::a));
  ASSERT_TRUE(hosts_->line(1).plug(Side::b));
  ASSERT_NO_FATAL_FAILURE(expect_well());
  wait_no_warning();
}

// Somebody on the network floods the heartbeat ports of the daemon and of the primary's agent with forged
// frames and noise. Nobody is taken for dead, writes go on, and the control loop answers: the longest answer
// of a hundred is far below the time that it would take a loop that worked off the flood first.
TEST_F(HostsBadInput, FloodOfDatagrams) {
  ASSERT_NO_FATAL_FAILURE(start({}));
  const auto writer = write_through();
  {
    const auto inside = hosts_->network()->inside("db2");
    ASSERT_TRUE(inside) << inside.error();
    auto flood = testbed::DatagramFlood::start(
        {.to = {hosts_->heartbeat(), {hosts_->network()->address("db1"), 694}}});
    ASSERT_TRUE(flood) << flood.error();
    std::chrono::milliseconds longest{};
    for (int i = 0; i < 100; ++i) {
      const auto asked = std::chrono::steady_clock::now();
      ASSERT_TRUE(status().is_object());
      longest = std::max(
          longest, std::chrono::round<std::chrono::milliseconds>(std::chrono::steady_clock::now() - asked));
      std::this_thread::sleep_for(30ms);
    }
    EXPECT_LT(longest, 1s);
    expect_writes(*writer);
    flood->stop();
    std::printf("%llu datagrams sent, longest answer %lld ms\n",
                static_cast<unsigned long long>(flood->sent()), static_cast<long long>(longest.count()));
    EXPECT_GT(flood->sent(), 10'000U);
    const json refused = status()["backends"][0]["links"]["udp"]["refused"];
    EXPECT_GT(refused.value("bad_mac", 0), 1000) << refused.dump();
  }
  EXPECT_TRUE(has_words(daemon().log(), {"frame_refused", "bad_mac", "suppressed"})) << daemon().log_tail();
  expect_no_failover();
  ASSERT_NO_FATAL_FAILURE(expect_well());
}

}  // namespace
}  // namespace pointsman::live
