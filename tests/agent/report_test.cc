// What the proxy learns of the server, and how soon.
#include <csignal>
#include <cstdio>

#include "health/io/clock.h"
#include "tests/agent/agent_world.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;
using core::AgentWord;
using core::LinkKind;
using core::MysqldState;

class AgentReports : public AgentTest {};
INSTANTIATE_TEST_SUITE_P(, AgentReports, testing::Values(Product::mariadb, Product::mysql), product_name);

// Agent and proxy find each other over both links, though the agent is not told who the proxy is; the word
// says how the server is, with its transactions.
TEST_P(AgentReports, TheServersStateOverBothLinks) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  for (const LinkKind link : {LinkKind::udp, LinkKind::serial}) {
    EXPECT_TRUE(until([&] { return proxy_->session().counters().accepted[core::index(link)] > 3; }));
  }
  ASSERT_TRUE(until([&] { return !proxy_->gtids().empty(); }));
  EXPECT_EQ(proxy_->word()->read_only, false);
  EXPECT_FALSE(proxy_->word()->replicates);
  ask("SET GLOBAL read_only = 1");
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.read_only == true; }));
  EXPECT_TRUE(logs("proxy_heard proxy=proxy1"));
  EXPECT_TRUE(logs("link link=serial state=alive"));
}

// mysqld is killed: the frame that says so is on its way before anything else can know.
TEST_P(AgentReports, DeathWithinMilliseconds) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  const core::Instant killed = io::now();
  ASSERT_TRUE(server().send(SIGKILL));
  const auto* dying = hears(killed, [](const AgentWord& word) {
    return word.mysqld == MysqldState::dying || word.mysqld == MysqldState::exited;
  });
  ASSERT_NE(dying, nullptr);
  const auto* exited =
      hears(killed, [](const AgentWord& word) { return word.mysqld == MysqldState::exited; });
  ASSERT_NE(exited, nullptr);
  std::printf("%s killed: a frame said %s after %.1f ms, exited after %.1f ms\n",
              testbed::to_string(GetParam()), core::to_string(dying->word.mysqld),
              core::to_ms_exact(dying->at - killed), core::to_ms_exact(exited->at - killed));
  EXPECT_TRUE(logs("mysqld state=exited"));
  EXPECT_TRUE(dying->word.killed);
  EXPECT_TRUE(exited->word.killed);

  ASSERT_TRUE(server().running() || server().start());
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.mysqld == MysqldState::answers; }));
  EXPECT_TRUE(logs("mysqld state=started"));
}

// mysqld is shut down: it may have answered what waited for a replica, so this is not called a kill. Nor is
// it when somebody loses patience and kills it on the way.
TEST_P(AgentReports, AShutdownIsNoKill) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  for (const bool impatient : {false, true}) {
    const core::Instant begun = io::now();
    if (impatient) {
      ASSERT_TRUE(server().send(SIGTERM));
      ASSERT_TRUE(until([&] { return !std::filesystem::exists(server().socket_path()); }));
      ASSERT_TRUE(server().freeze());
      run_for(1s);
      ASSERT_TRUE(server().running()) << "it was too fast for this";
      server().kill();
    } else {
      ASSERT_TRUE(server().stop());
    }
    const auto* exited =
        hears(begun, [](const AgentWord& word) { return word.mysqld == MysqldState::exited; });
    ASSERT_NE(exited, nullptr);
    EXPECT_FALSE(exited->word.killed);
    ASSERT_TRUE(server().start());
    EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.mysqld == MysqldState::answers; }));
  }
}

// mysqld is frozen: it is not dead, and does not answer; then it goes on.
TEST_P(AgentReports, AFrozenServerIsSilent) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  const core::Instant frozen = io::now();
  ASSERT_TRUE(server().freeze());
  const auto* silent =
      hears(frozen, [](const AgentWord& word) { return word.mysqld == MysqldState::silent; });
  ASSERT_NE(silent, nullptr);
  std::printf("%s frozen: silent after %.0f ms\n", testbed::to_string(GetParam()),
              core::to_ms_exact(silent->at - frozen));
  EXPECT_TRUE(hears(frozen, [](const AgentWord& word) { return word.silent_ms > 500; })) << "it counts";
  ASSERT_TRUE(server().thaw());
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.mysqld == MysqldState::answers; }));
}

}  // namespace
}  // namespace pointsman::agent
