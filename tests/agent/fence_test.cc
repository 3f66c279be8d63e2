// Pointsman orders that a server writes no more.
#include <csignal>
#include <cstdio>

#include "health/core/frame_gtids.h"
#include "health/io/clock.h"
#include "tests/agent/agent_world.h"

namespace pointsman::agent {
namespace {

using core::AgentWord;
using core::Epoch;
using core::GrantedRole;
using core::LinkKind;
using core::MysqldState;

class AgentFenceTest : public AgentTest {};
INSTANTIATE_TEST_SUITE_P(, AgentFenceTest, testing::Values(Product::mariadb, Product::mysql), product_name);

// eth0 is cut, and the order comes by the serial line: it is acknowledged there, with exactly the
// transactions that the server has, so that a replica can be made to have them all.
TEST_P(AgentFenceTest, OverSerialOnlyWithTheFinalTransactions) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  proxy_->grant(GrantedRole::primary, 1);
  ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held; }));
  auto direct = application();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(direct.execute("INSERT INTO t (v) VALUES (1)"));
  proxy_->speak(LinkKind::udp, false);
  proxy_->listen(LinkKind::udp, false);
  const core::Instant ordered = io::now();
  proxy_->grant(GrantedRole::fence, 2);
  const auto* fenced = hears(ordered, [](const AgentWord& word) { return word.fenced == Epoch{2}; });
  ASSERT_NE(fenced, nullptr);
  EXPECT_EQ(fenced->link, LinkKind::serial);
  EXPECT_EQ(fenced->word.read_only, true);
  std::printf("%s: fence by the serial line at 19200 baud acknowledged after %.0f ms\n",
              testbed::to_string(GetParam()), core::to_ms_exact(fenced->at - ordered));
  EXPECT_EQ(core::gtids_of(fenced->word.gtids).to_string(), own_gtids());
  EXPECT_FALSE(direct.execute("INSERT INTO t (v) VALUES (2)")) << "its session was ended";
  EXPECT_TRUE(logs("fenced epoch=2"));

  ask("SET GLOBAL read_only = 0");  // by a person
  EXPECT_TRUE(until([&] { return read_only(); })) << "the fence is enforced";
}

// mysqld hangs: the order cannot be obeyed, so it is killed, and its end acknowledges.
TEST_P(AgentFenceTest, KillsAServerThatHangs) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  proxy_->grant(GrantedRole::primary, 1);
  ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held; }));
  ASSERT_TRUE(server().freeze());
  ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.mysqld == MysqldState::silent; }));
  const core::Instant ordered = io::now();
  proxy_->grant(GrantedRole::fence, 2);
  const auto* fenced = hears(ordered, [](const AgentWord& word) { return word.fenced == Epoch{2}; });
  ASSERT_NE(fenced, nullptr);
  std::printf("%s: hung server killed and acknowledged after %.1f ms\n", testbed::to_string(GetParam()),
              core::to_ms_exact(fenced->at - ordered));
  EXPECT_TRUE(until([&] { return !server().running(); }));
  EXPECT_TRUE(logs("kill done=true"));
}

}  // namespace
}  // namespace pointsman::agent
