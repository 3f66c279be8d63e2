#include <gtest/gtest.h>

#include "tests/testbed/hosts.h"

namespace pointsman::testbed {
namespace {

constexpr Millis soon{20000};

// With namespaces and without: programs start, the servers replicate, the daemon routes, each agent finds its
// server, and a client that goes round the daemon reaches it.
class HostsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const std::string why = Network::why_not();
    if (GetParam() && !why.empty()) GTEST_SKIP() << why;
    auto made = Hosts::prepare({.network = GetParam()});
    ASSERT_TRUE(made) << made.error();
    hosts = std::move(*made);
    const auto started = hosts->start();
    ASSERT_TRUE(started) << started.error();
    const auto steady = hosts->daemon().wait_steady(soon);
    ASSERT_TRUE(steady) << steady.error() << hosts->story();
  }
  std::unique_ptr<Hosts> hosts;
};
INSTANTIATE_TEST_SUITE_P(Each, HostsTest, testing::Bool(),
                         [](const auto& which) { return which.param ? "network" : "loopback"; });

TEST_P(HostsTest, RunsEverything) {
  const Login& login = hosts->cluster().accounts().application;
  auto through = hosts->connect(login, "app");
  ASSERT_TRUE(through) << through.error().text << hosts->story();
  EXPECT_TRUE(through->execute("CREATE TABLE t (id INT PRIMARY KEY)"));
  for (std::size_t i = 0; i < hosts->size(); ++i) {
    EXPECT_TRUE(hosts->agent(i).wait_log("pid=" + std::to_string(hosts->server(i).pid()), soon))
        << hosts->story();
    auto round = hosts->connect_round(i, login, "app");
    ASSERT_TRUE(round) << round.error().text;
    EXPECT_EQ(*round->scalar("SELECT @@server_id"), std::to_string(i + 1));
  }
}

// A host dies and boots: its server and its agent are other processes afterwards.
TEST_P(HostsTest, KillsAndBootsAHost) {
  const pid_t before = hosts->server(1).pid();
  const auto killed = hosts->kill_host(1);
  ASSERT_TRUE(killed) << killed.error();
  EXPECT_EQ(hosts->server(1).running(), !GetParam());  // on loopback it stands still
  const auto booted = hosts->start_host(1);
  ASSERT_TRUE(booted) << booted.error() << hosts->story();
  EXPECT_NE(hosts->server(1).pid(), before);
  EXPECT_TRUE(hosts->agent(1).wait_log("pid=" + std::to_string(hosts->server(1).pid()), soon))
      << hosts->story();
}

// Cables can be cut where there are cables, and where there are none that is said.
TEST_P(HostsTest, CutsCables) {
  const auto cut = hosts->cut_eth0(0);
  EXPECT_EQ(cut.has_value(), GetParam());
  EXPECT_EQ(hosts->isolate_proxy().has_value(), GetParam());
  EXPECT_EQ(hosts->cut_replication(0, 1).has_value(), GetParam());
  if (!GetParam()) {
    EXPECT_TRUE(cut.error().contains("127.0.0.1")) << cut.error();
  }
  EXPECT_TRUE(hosts->mend_proxy());
  EXPECT_TRUE(hosts->mend(0));
}

}  // namespace
}  // namespace pointsman::testbed
