// Whatever else comes to the agent's port and line.
#include <array>
#include <csignal>
#include <cstdio>
#include <random>
#include <vector>

#include "health/io/clock.h"
#include "tests/agent/agent_world.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;
using core::AgentWord;
using core::GrantedRole;
using core::LinkKind;

class AgentBadFrames : public AgentTest {};
INSTANTIATE_TEST_SUITE_P(, AgentBadFrames, testing::Values(Product::mariadb), product_name);

// Proxy and agent have different keys: nothing that the proxy orders is done, and the log says what to look
// at. Then the operator gives the agent the right ones, at first with a mistake.
TEST_P(AgentBadFrames, WrongKeys) {
  start_server();
  start_agent();
  play("proxy1", "quite-another-secret-of-32-bytes");
  proxy_->grant(GrantedRole::fence, 9);
  ASSERT_TRUE(logs("reason=bad_mac"));
  EXPECT_TRUE(logs("do the keys of proxy and agent differ?"));
  EXPECT_TRUE(proxy_->heard().empty());
  EXPECT_FALSE(read_only());

  ASSERT_TRUE(testbed::write_file(file("authkeys"), "auth 1\n1 sha256\n"));
  ASSERT_TRUE(agent_.send(SIGHUP));
  EXPECT_TRUE(logs("keys_refused"));
  write_authkeys("quite-another-secret-of-32-bytes");
  ASSERT_TRUE(agent_.send(SIGHUP));
  EXPECT_TRUE(logs("keys_read"));
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.fenced == core::Epoch{9}; }));
  EXPECT_TRUE(read_only());
}

// A primary under a lease gets forged, replayed, reflected, cut and random datagrams by the thousand, and
// noise on its line: the lease is kept, the role stays, the links stay alive, and the log stays short.
TEST_P(AgentBadFrames, FloodChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  proxy_->grant(GrantedRole::fence, 1);  // recorded, to be replayed
  ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.fenced == core::Epoch{1}; }));
  const auto recorded = proxy_->sent();
  proxy_->grant(GrantedRole::primary, 2, 1000);
  ASSERT_TRUE(
      hears(io::now(), [](const AgentWord& word) { return word.lease_held && word.read_only == true; }));
  ask("SET GLOBAL read_only = 0");
  ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.read_only == false; }));

  std::mt19937 random(7);  // NOLINT: the same at each run
  const core::Instant begun = io::now();
  core::Duration slowest{};
  core::Instant last_heard = begun;
  std::size_t sent = 0;
  const auto* seen = &proxy_->heard();
  std::size_t known = seen->size();
  while (io::now() - begun < 3s) {
    for (int i = 0; i < 200; ++i, ++sent) {
      std::vector<std::uint8_t> bytes = recorded[random() % recorded.size()];
      if (i % 4 == 1) bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1U << random() % 8);
      if (i % 4 == 2) bytes.resize(random() % bytes.size());
      if (i % 4 == 3) bytes.assign(random() % 1400, static_cast<std::uint8_t>(random()));
      proxy_->send_raw(bytes);
    }
    std::array<std::uint8_t, 40> noise{};
    for (auto& byte : noise) byte = static_cast<std::uint8_t>(random());
    line_->inject(testbed::SerialLine::Side::b, noise);
    until([&, end = io::now() + 1ms] { return io::now() >= end; });
    if (seen->size() > known) {
      slowest = std::max(slowest, io::now() - last_heard);
      last_heard = io::now();
      known = seen->size();
    }
  }
  std::printf("flood of %zu datagrams in 3 s: longest pause between two frames of the agent %.0f ms\n", sent,
              core::to_ms_exact(slowest));
  EXPECT_TRUE(agent_.running());
  EXPECT_FALSE(read_only());
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held && !word.lease_lost; }));
  EXPECT_EQ(proxy_->heard().back().epoch, core::Epoch{2});
  EXPECT_LT(std::ranges::count(log(), '\n'), 100);
  EXPECT_TRUE(logs("serial_noise"));
}

// Two proxies by different names speak to one agent: both are answered, and it is said.
TEST_P(AgentBadFrames, TwoProxies) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  auto second_keys = keys_of(secret);
  PlayedProxy second(loop_, "proxy2", *second_keys, {"127.0.0.1", port_.number()}, "");
  EXPECT_TRUE(until([&] { return second.heard().size() > 3; }));
  EXPECT_TRUE(logs("two_proxies"));
  EXPECT_TRUE(hears(io::now(), [](const AgentWord&) { return true; }));
}

}  // namespace
}  // namespace pointsman::agent
