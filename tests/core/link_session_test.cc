#include "health/core/link_session.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/core/link_model.h"

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::uint8_t>;

constexpr LinkKind udp = LinkKind::udp;
constexpr LinkKind serial = LinkKind::serial;

// Two ends with nonces that tell where they come from: proxies have 1001, 1002, ..., agents 2001, ...
class LinkSessionTest : public ::testing::Test {
 protected:
  using Result = std::expected<LinkSession::Received, FrameRefusal>;

  std::unique_ptr<LinkSession> make_proxy(const std::string& peer = "dbserv1") {
    return std::make_unique<LinkSession>("proxy1", peer, FrameType::proxy, keys_,
                                         [this] { return ++proxy_nonce_; });
  }
  std::unique_ptr<LinkSession> make_agent(const std::string& name = "dbserv1") {
    return std::make_unique<LinkSession>(name, "proxy1", FrameType::agent, keys_,
                                         [this] { return ++agent_nonce_; });
  }
  Bytes say(LinkSession& from, LinkKind link = udp, std::uint64_t epoch = 1) {
    const bool is_proxy = from.peer_name() != "proxy1";
    const Word word = is_proxy ? Word(ProxyWord{}) : Word(AgentWord{});
    return from.seal(word, Epoch{epoch}, link, now_ += 10ms);
  }
  Result hear(LinkSession& at, const Bytes& bytes, LinkKind link = udp) {
    return at.open(bytes, link, now_ += 1ms);
  }
  // Where the answer does not matter.
  void tell(LinkSession& at, const Bytes& bytes, LinkKind link = udp) {
    static_cast<void>(hear(at, bytes, link));
  }

  void establish() {
    tell(*proxy_, say(*agent_));
    tell(*agent_, say(*proxy_));
    ASSERT_TRUE(hear(*proxy_, say(*agent_)));
    ASSERT_TRUE(hear(*agent_, say(*proxy_)));
  }
  static std::string why(const Result& result) { return result ? "accepted" : to_string(result.error()); }

  ToyKeyring keys_;
  std::uint64_t proxy_nonce_ = 1000;
  std::uint64_t agent_nonce_ = 2000;
  Instant now_{1h};
  std::unique_ptr<LinkSession> proxy_ = make_proxy();
  std::unique_ptr<LinkSession> agent_ = make_agent();
};

// The meeting that the header draws.
TEST_F(LinkSessionTest, MeetsInTwoFramesEachWay) {
  EXPECT_EQ(why(hear(*proxy_, say(*agent_))), "no_echo");
  EXPECT_EQ(why(hear(*agent_, say(*proxy_))), "unproven");
  EXPECT_FALSE(proxy_->established() || agent_->established());
  const auto first = hear(*proxy_, say(*agent_));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->new_session);
  EXPECT_EQ(first->frame.nonce, 2001U);
  EXPECT_EQ(first->frame.echo, 1001U);
  const auto answer = hear(*agent_, say(*proxy_));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->new_session);
  const auto next = hear(*proxy_, say(*agent_));
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->new_session);
  EXPECT_EQ(proxy_->counters().sessions_begun, 1U);
  EXPECT_EQ(proxy_->counters().accepted[index(udp)], 2U);
  EXPECT_EQ(proxy_->counters().refused[index(udp)][index(FrameRefusal::no_echo)], 1U);
}

// Both send at the same time, each before it has heard the other: three.
TEST_F(LinkSessionTest, MeetsInThreeWhereFramesCross) {
  for (int round = 1; round <= 3; ++round) {
    const Bytes from_proxy = say(*proxy_);
    const Bytes from_agent = say(*agent_);
    EXPECT_EQ(hear(*agent_, from_proxy).has_value(), round == 3);
    EXPECT_EQ(hear(*proxy_, from_agent).has_value(), round == 3);
  }
}

// What the proxy's lease rests on: when the agent's latest knowledge of us was sent.
TEST_F(LinkSessionTest, TellsWhenTheAcknowledgedFrameWasSent) {
  establish();
  const Bytes heard = say(*proxy_);
  const Instant sent = now_;
  ASSERT_TRUE(hear(*agent_, heard));
  say(*proxy_);  // lost
  say(*proxy_, serial);
  const auto word = hear(*proxy_, say(*agent_));
  ASSERT_TRUE(word);
  EXPECT_EQ(word->ack_sent_at, sent);
  for (std::size_t i = 0; i < LinkSession::remembered_seqs; ++i) say(*proxy_);
  const auto later = hear(*proxy_, say(*agent_));
  ASSERT_TRUE(later);
  EXPECT_EQ(later->ack_sent_at, std::nullopt) << "too long ago to be remembered";
}

// The same frame again, or an older one that comes late, on the same kind of link: not life.
TEST_F(LinkSessionTest, RefusesReplays) {
  establish();
  const Bytes first = say(*agent_);
  const Bytes second = say(*agent_);
  EXPECT_EQ(why(hear(*proxy_, second)), "accepted");
  EXPECT_EQ(why(hear(*proxy_, second)), "replayed");
  EXPECT_EQ(why(hear(*proxy_, first)), "replayed");
  EXPECT_EQ(why(hear(*proxy_, say(*agent_))), "accepted");
}

// Numbers are shared by the links, and each link takes what is new on it: the slow line is not dead because
// its frames come after later ones of the other.
TEST_F(LinkSessionTest, LinksAreJudgedEachByItself) {
  establish();
  const Bytes slow = say(*agent_, serial);
  EXPECT_EQ(why(hear(*proxy_, say(*agent_, udp), udp)), "accepted");
  EXPECT_EQ(why(hear(*proxy_, slow, serial)), "accepted");
  EXPECT_EQ(why(hear(*proxy_, slow, serial)), "replayed");
  const Bytes copied = say(*agent_, serial);
  EXPECT_EQ(why(hear(*proxy_, copied, udp)), "wrong_link") << "the network is not alive because the line is";
  EXPECT_EQ(why(hear(*proxy_, copied, serial)), "accepted");
}

// A loop in the cabling, a peer of the wrong kind, somebody else's agent.
TEST_F(LinkSessionTest, RefusesWhoIsNotThePeer) {
  establish();
  EXPECT_EQ(why(hear(*proxy_, say(*proxy_))), "reflected");
  EXPECT_EQ(why(hear(*agent_, say(*agent_))), "reflected");
  const Bytes of_former = say(*proxy_);
  proxy_ = make_proxy();
  EXPECT_EQ(why(hear(*proxy_, of_former)), "reflected") << "by the name, where the nonce was another";
  LinkSession second_proxy("proxy2", "dbserv1", FrameType::proxy, keys_, [] { return 5U; });
  EXPECT_EQ(why(hear(*proxy_, say(second_proxy))), "wrong_direction");
  EXPECT_EQ(why(hear(*agent_, say(second_proxy))), "unknown_sender");
  const auto other_agent = make_agent("dbserv2");
  EXPECT_EQ(why(hear(*proxy_, say(*other_agent))), "unknown_sender");
}

// The agent is started again while the proxy runs, and the other way round: known again after two frames each
// way, and what the former process sent is worth nothing, whether it came or not.
TEST_F(LinkSessionTest, RestartsRetireTheFormerSession) {
  establish();
  const Bytes seen = say(*agent_);
  const Bytes held_back = say(*agent_);
  ASSERT_TRUE(hear(*proxy_, seen));
  agent_ = make_agent();
  establish();
  EXPECT_EQ(proxy_->counters().sessions_begun, 2U);
  EXPECT_LT(proxy_->last_begun()[1], proxy_->last_begun()[0]);
  EXPECT_EQ(why(hear(*proxy_, seen)), "old_session");
  EXPECT_EQ(why(hear(*proxy_, held_back)), "old_session");
  proxy_ = make_proxy();
  EXPECT_EQ(why(hear(*proxy_, seen)), "no_echo");
  establish();
  EXPECT_EQ(why(hear(*proxy_, held_back)), "no_echo");
  EXPECT_EQ(why(hear(*proxy_, say(*agent_))), "accepted") << "the session that lives stays";
}

// An agent that nobody ever heard sent frames that echo our present nonce; they were held back until it was
// dead and another one lived. The echo is right, the nonce was never retired, and yet they must neither count
// nor push out the one that lives.
TEST_F(LinkSessionTest, HeldBackFramesOfASessionNeverHeardAreUnproven) {
  const auto unheard = make_agent();
  tell(*unheard, say(*proxy_));
  std::vector<Bytes> held_back;
  for (int i = 0; i < 20; ++i) {
    tell(*unheard, say(*proxy_));
    held_back.push_back(say(*unheard));
  }
  establish();
  for (const Bytes& bytes : held_back) {
    EXPECT_EQ(why(hear(*proxy_, bytes)), "unproven");
    say(*proxy_);
  }
  EXPECT_EQ(why(hear(*proxy_, say(*agent_))), "accepted");
  EXPECT_EQ(proxy_->counters().sessions_begun, 1U);
}

// The agent dies, and somebody replays all that it ever sent, over and over, on all links, to the proxy and
// to the one that comes after it.
TEST_F(LinkSessionTest, NothingRecordedKeepsADeadNodeAlive) {
  std::vector<std::pair<Bytes, LinkKind>> recorded;
  const auto record = [&](LinkKind link) {
    recorded.emplace_back(say(*agent_, link), link);
    tell(*proxy_, recorded.back().first, link);
    tell(*agent_, say(*proxy_, link), link);
  };
  for (int restart = 0; restart < 5; ++restart) {
    for (int i = 0; i < 20; ++i) record(i % 3 == 0 ? serial : udp);
    agent_ = make_agent();
  }
  ASSERT_EQ(proxy_->counters().sessions_begun, 5U);
  for (int process = 0; process < 2; ++process) {
    const auto before = proxy_->counters();
    for (int round = 0; round < 3; ++round) {
      for (const auto& [bytes, link] : recorded) {
        EXPECT_FALSE(hear(*proxy_, bytes, link));
        say(*proxy_, link);
      }
    }
    EXPECT_EQ(proxy_->counters().accepted, before.accepted);
    EXPECT_EQ(proxy_->counters().sessions_begun, before.sessions_begun);
    proxy_ = make_proxy();
  }
}

// Somebody replays a frame of long ago before each frame that the proxy sends, so that it echoes the wrong
// nonce. The agent must hear itself echoed in every second frame at least, or a lease would run out.
TEST_F(LinkSessionTest, ReplaysDoNotStarveTheSession) {
  std::vector<Bytes> old;
  for (int i = 0; i < 3; ++i) {
    const auto former = make_agent();
    old.push_back(say(*former));
  }
  establish();
  int heard = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(hear(*proxy_, say(*agent_)));
    EXPECT_EQ(why(hear(*proxy_, old[i % old.size()])), "no_echo");
    heard += hear(*agent_, say(*proxy_)) ? 1 : 0;
  }
  EXPECT_GE(heard, 50);
  EXPECT_EQ(proxy_->counters().sessions_begun, 1U);
  EXPECT_EQ(agent_->counters().sessions_begun, 1U);
}

// Both sides are made to echo something old, and then all is quiet: neither may wait for the other for ever.
TEST_F(LinkSessionTest, RecoversWhenBothEchoTheWrongNonce) {
  const auto former_agent = make_agent();
  const auto former_proxy = make_proxy();
  establish();
  for (int round = 0; round < 4; ++round) {
    tell(*proxy_, say(*former_agent));
    tell(*agent_, say(*former_proxy));
    for (int i = 0; i < round; ++i) {
      say(*proxy_);  // lost
      say(*agent_);
    }
    tell(*agent_, say(*proxy_));
    tell(*proxy_, say(*agent_));
    EXPECT_TRUE(hear(*agent_, say(*proxy_)));
    EXPECT_TRUE(hear(*proxy_, say(*agent_)));
  }
}

// The owner knows of a later change of primary than the peer: its frames are no life, and what was refused so
// does not count later either.
TEST_F(LinkSessionTest, RefusesLowerEpochs) {
  establish();
  agent_->set_least_epoch(Epoch{5});
  const Bytes low = say(*proxy_, udp, 4);
  EXPECT_EQ(why(hear(*agent_, low)), "lower_epoch");
  EXPECT_EQ(why(hear(*agent_, low)), "replayed");
  EXPECT_EQ(why(hear(*agent_, say(*proxy_, udp, 5))), "accepted");
  EXPECT_EQ(why(hear(*agent_, say(*proxy_, udp, 6))), "accepted");

  // A proxy that comes back with an old state does not push out the session, but is answered, so that it can
  // learn.
  const auto stale = make_proxy();
  tell(*agent_, say(*stale, udp, 4));
  tell(*stale, say(*agent_));
  EXPECT_EQ(why(hear(*agent_, say(*stale, udp, 4))), "lower_epoch");
  EXPECT_EQ(why(hear(*stale, say(*agent_))), "accepted");
  EXPECT_EQ(why(hear(*agent_, say(*proxy_, udp, 6))), "accepted");
  EXPECT_EQ(agent_->counters().sessions_begun, 1U);
}

// A peer that is restarted again and again fills the list of the retired; then everything recorded is made
// worthless at one blow, and the peers go on.
TEST_F(LinkSessionTest, TakesANewNonceWhenTooManyAreRetired) {
  std::vector<Bytes> recorded;
  for (std::size_t i = 0; i <= LinkSession::max_retired; ++i) {
    agent_ = make_agent();
    tell(*proxy_, say(*agent_));
    tell(*agent_, say(*proxy_));
    recorded.push_back(say(*agent_));
    ASSERT_TRUE(hear(*proxy_, recorded.back()));
  }
  EXPECT_EQ(proxy_->counters().own_nonces, 2U);
  EXPECT_EQ(proxy_->counters().sessions_begun, LinkSession::max_retired + 1);
  for (const Bytes& bytes : recorded) EXPECT_EQ(why(hear(*proxy_, bytes)), "no_echo");
  // The agent, which lives, has to meet the new nonce.
  tell(*agent_, say(*proxy_));
  tell(*proxy_, say(*agent_));
  EXPECT_TRUE(hear(*agent_, say(*proxy_)));
  EXPECT_TRUE(hear(*proxy_, say(*agent_)));
  EXPECT_EQ(proxy_->counters().sessions_begun, LinkSession::max_retired + 1) << "to the proxy it is the same";
}

// A random source that is broken gives what it likes; sessions are still told apart.
TEST_F(LinkSessionTest, LivesWithAPoorSourceOfNonces) {
  LinkSession zero("proxy1", "dbserv1", FrameType::proxy, keys_, [] { return 0U; });
  const auto frame = decode(say(zero), keys_);
  ASSERT_TRUE(frame);
  EXPECT_NE(frame->nonce, 0U);
}

// Anything at all may come from a socket.
TEST_F(LinkSessionTest, CountsWhatIsNoFrame) {
  establish();
  EXPECT_EQ(why(hear(*proxy_, {})), "too_short");
  EXPECT_EQ(why(hear(*proxy_, Bytes(2000, 1))), "too_long");
  EXPECT_EQ(why(hear(*proxy_, Bytes(100, 9), serial)), "bad_version");
  EXPECT_EQ(proxy_->counters().refused[index(udp)][index(FrameRefusal::too_long)], 1U);
  EXPECT_EQ(proxy_->counters().refused[index(serial)][index(FrameRefusal::bad_version)], 1U);
  EXPECT_EQ(why(hear(*proxy_, say(*agent_))), "accepted");
}

// An agent with other keys than the proxy: refused on both sides, with the reason that tells it.
TEST_F(LinkSessionTest, TellsThatKeysDiffer) {
  const ToyKeyring other(99);
  LinkSession agent("dbserv1", "proxy1", FrameType::agent, other, [] { return 77U; });
  EXPECT_EQ(why(hear(*proxy_, say(agent))), "bad_mac");
  EXPECT_EQ(why(hear(agent, say(*proxy_))), "bad_mac");
}

// One world: genuine, late, lost, doubled, reordered, replayed, reflected, damaged frames and frames on the
// wrong link, with restarts on both sides. The model checks each step.
std::string random_world(std::uint64_t seed) {
  sim::Random random(seed);
  LinkModel model(random.next(), random.one_in(4) ? 2 : 1);
  const std::uint64_t calm = random.between(2, 60);  // steps between two restarts
  const bool stubborn = random.one_in(8);  // one side is restarted until the other takes a new nonce
  const auto any_link = [&] { return random.one_in(3) ? serial : udp; };
  for (int step = 0; step < 400 && model.broken().empty(); ++step) {
    const auto side = static_cast<unsigned>(random.below(2));
    if (random.one_in(calm)) model.restart(stubborn ? 0 : side);
    if (random.one_in(stubborn ? 3 : 30)) model.meet(side, any_link());
    const auto fresh = model.seal(side, any_link());
    if (!fresh) break;
    if (random.one_in(2)) model.deliver(*fresh);
    for (std::uint64_t more = random.below(4); more > 0; --more) {
      // Half of them recent, so that what is late is often not too late.
      const std::size_t reach = random.one_in(2) ? std::min<std::size_t>(model.frames(), 8) : model.frames();
      const std::size_t which = model.frames() - 1 - random.below(reach);
      switch (random.below(8)) {
        case 0:
          model.deliver_damaged(which, random.next(), random.one_in(2));
          break;
        case 1:
          model.deliver(which, static_cast<unsigned>(random.below(2)), any_link());
          break;
        default:
          model.deliver(which);
      }
    }
  }
  if (model.broken().empty()) model.meet(static_cast<unsigned>(random.below(2)), any_link());
  return model.broken();
}

TEST(LinkWorldTest, KeepsItsPromisesInRandomWorlds) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const std::string broken = random_world(seed);
    ASSERT_EQ(broken, "") << "seed " << seed;
  }
  const std::uint64_t seed = std::random_device()();
  ASSERT_EQ(random_world(seed), "") << "seed " << seed;
}

}  // namespace
}  // namespace pointsman::core
