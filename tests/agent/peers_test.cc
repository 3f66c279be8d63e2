// Which proxies an agent speaks to, and where.
#include "health/agent/peers.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/toy_keyring.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;
using core::FrameRefusal;
using core::LinkKind;
using Bytes = std::vector<std::uint8_t>;

class PeersTest : public testing::Test {
 protected:
  core::LinkSession& proxy(const std::string& name) {
    const auto found = proxies_.find(name);
    if (found != proxies_.end()) return found->second;
    return proxies_.try_emplace(name, name, "db1", core::FrameType::proxy, keys_, [this] { return ++nonce_; })
        .first->second;
  }
  Bytes word_of(const std::string& name, LinkKind link = LinkKind::udp) {
    return proxy(name).seal(core::ProxyWord{}, core::Epoch{1}, link, now_);
  }
  Peers::Heard hear(const Bytes& bytes, LinkKind link = LinkKind::udp, unsigned port = 694) {
    auto from = *io::Address::numeric({"10.0.0.9", static_cast<std::uint16_t>(port)});
    return peers_.hear(bytes, link, link == LinkKind::udp ? std::optional(from) : std::nullopt, core::Epoch{},
                       now_);
  }
  Peer* find(const std::string& name) {
    for (Peer& peer : peers_.all()) {
      if (peer.name() == name) return &peer;
    }
    return nullptr;
  }
  // Until each counts as alive to the other.
  void meet(const std::string& name, LinkKind link = LinkKind::udp) {
    for (int i = 0; i < 4; ++i) {
      now_ += 1ms;
      hear(word_of(name, link), link);
      Peer* peer = find(name);
      ASSERT_NE(peer, nullptr);
      (void)proxy(name).open(peer->session.seal(core::AgentWord{}, core::Epoch{1}, link, now_), link, now_);
    }
    ASSERT_TRUE(find(name)->session.established());
  }

  core::Instant now_{1h};
  core::ToyKeyring keys_;
  std::uint64_t nonce_ = 0;
  std::map<std::string, core::LinkSession> proxies_;
  std::uint64_t own_nonce_ = 1'000'000;
  Peers peers_{"db1", keys_, [this] { return ++own_nonce_; }};
};

// A proxy whose name nobody told us signs with our key: it gets a session, and is answered where it is.
TEST_F(PeersTest, MeetsAProxy) {
  meet("proxy1");
  const Peer* peer = find("proxy1");
  EXPECT_EQ(peer->address->to_string(), "10.0.0.9:694");
  EXPECT_FALSE(peer->on_serial);
  EXPECT_TRUE(peer->alive(now_, 1ms));
  EXPECT_TRUE(peers_.sole(*peer));
  meet("proxy1", LinkKind::serial);
  EXPECT_TRUE(find("proxy1")->on_serial);
}

// Without a good code, from an agent, or copied from the other kind of link: no session is made.
TEST_F(PeersTest, MakesNoSessionForAStranger) {
  Bytes damaged = word_of("proxy1");
  damaged[20] ^= 1U;
  EXPECT_EQ(hear(damaged).result.error(), FrameRefusal::bad_mac);
  EXPECT_EQ(hear({}).result.error(), FrameRefusal::too_short);
  core::LinkSession other("db2", "proxy1", core::FrameType::agent, keys_, [this] { return ++nonce_; });
  EXPECT_EQ(hear(other.seal(core::AgentWord{}, core::Epoch{}, LinkKind::udp, now_)).result.error(),
            FrameRefusal::wrong_direction);
  core::LinkSession own("db1", "proxy1", core::FrameType::agent, keys_, [this] { return ++nonce_; });
  EXPECT_EQ(hear(own.seal(core::AgentWord{}, core::Epoch{}, LinkKind::udp, now_)).result.error(),
            FrameRefusal::reflected);
  EXPECT_EQ(hear(word_of("proxy1", LinkKind::serial), LinkKind::udp).result.error(),
            FrameRefusal::wrong_link);
  EXPECT_TRUE(peers_.all().empty());
}

// Old frames of former proxies are replayed: the proxy that is alive keeps its session and its place, is
// still sent frames by every way, and they are soon forgotten.
TEST_F(PeersTest, ReplayedStrangersDoNotDisplaceAProxy) {
  std::vector<Bytes> recorded;
  for (int i = 0; i < 20; ++i) recorded.push_back(word_of("old" + std::to_string(i)));
  meet("proxy1");
  for (const Bytes& bytes : recorded) {
    now_ += 1ms;
    EXPECT_FALSE(hear(bytes, LinkKind::udp, 999).result);
    EXPECT_TRUE(hear(word_of("proxy1")).result);
  }
  EXPECT_EQ(peers_.all().size(), Peers::max_peers);
  EXPECT_TRUE(peers_.sole(*find("proxy1")));
  EXPECT_FALSE(peers_.sole(*find("old19")));
  now_ += Peers::forget_strangers + 1ms;
  EXPECT_TRUE(hear(word_of("proxy1")).result);
  peers_.forget_old(now_);
  EXPECT_EQ(peers_.all().size(), 1U);
}

// Frames of the proxy that lives are sent again from elsewhere: our answers do not go there.
TEST_F(PeersTest, ReplayDoesNotTurnAnswersAway) {
  const Bytes early = word_of("proxy1");
  meet("proxy1");
  const Bytes late = word_of("proxy1");
  EXPECT_TRUE(hear(late).result);
  EXPECT_FALSE(hear(early, LinkKind::udp, 666).result);
  EXPECT_FALSE(hear(late, LinkKind::udp, 666).result);
  EXPECT_EQ(find("proxy1")->address->port(), 694);
}

// Two proxies give orders: neither is the only one; the one that is stopped is forgotten after a while.
TEST_F(PeersTest, TwoProxies) {
  meet("proxy1");
  meet("proxy2");
  EXPECT_FALSE(peers_.sole(*find("proxy1")));
  EXPECT_FALSE(peers_.sole(*find("proxy2")));
  now_ += Peers::forget_former + 1ms;
  peers_.forget_old(now_);
  EXPECT_EQ(peers_.all().size(), 2U) << "both are silent: either may come back";
  hear(word_of("proxy2"));
  peers_.forget_old(now_);
  ASSERT_EQ(peers_.all().size(), 1U);
  EXPECT_TRUE(peers_.sole(*find("proxy2")));
}

}  // namespace
}  // namespace pointsman::agent
