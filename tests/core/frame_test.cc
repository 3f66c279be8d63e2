#include "health/core/frame.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/core/toy_keyring.h"
#include "tests/sim/random.h"

namespace pointsman::core {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t mac = 16;

Frame proxy_frame() {
  return {.key = 1,
          .link = LinkKind::serial,
          .epoch = {0x0102030405060708U},
          .seq = 0x11121314,
          .ack = 0x21222324,
          .nonce = 0x3132333435363738U,
          .echo = 0x4142434445464748U,
          .sender = "proxy1",
          .word = ProxyWord{.role = GrantedRole::fence, .kill_hung = true, .lease_ms = 0x51525354}};
}

Frame agent_frame() {
  Frame frame = proxy_frame();
  frame.sender = "dbserv1";
  frame.link = LinkKind::udp;
  frame.word = AgentWord{.mysqld = MysqldState::silent,
                         .read_only = true,
                         .lease_lost = true,
                         .sql_running = true,
                         .silent_ms = 0x6162,
                         .fenced = {0x7172737475767778U},
                         .gtids = {MariaDbGtid{1, 2, 3}, MySqlGtid{{0xa0, 0xa1}, 4}}};
  return frame;
}

FrameRefusal refusal(const Bytes& bytes) {
  const auto frame = decode(bytes, ToyKeyring());
  EXPECT_FALSE(frame);
  return frame ? FrameRefusal::too_short : frame.error();
}

// As somebody with the key would send it.
Bytes signed_again(Bytes content) {
  const std::size_t size = content.size();
  content.resize(size + mac);
  const std::span<std::uint8_t> whole(content);
  ToyKeyring().sign(1, whole.first(size), whole.subspan(size));
  return content;
}

Bytes content_of(const Frame& frame) {
  Bytes bytes = encode(frame, ToyKeyring());
  bytes.resize(bytes.size() - mac);
  return bytes;
}

Bytes changed(Bytes content, std::size_t at, std::uint8_t to) {
  content.at(at) = to;
  return signed_again(std::move(content));
}

Frame random_frame(sim::Random& random) {
  constexpr std::string_view letters = "azAZ09_.-";
  Frame frame{.key = static_cast<std::uint8_t>(random.between(1, 2)),
              .link = random.one_in(2) ? LinkKind::udp : LinkKind::serial,
              .epoch = {random.next()},
              .seq = static_cast<std::uint32_t>(random.between(1, 0xffffffffU)),
              .ack = static_cast<std::uint32_t>(random.next()),
              .nonce = random.next() | 1U,
              .echo = random.next()};
  for (std::uint64_t size = random.between(1, max_node_name); size > 0; --size)
    frame.sender += letters[random.below(letters.size())];
  const auto any = [&random] { return random.one_in(2); };
  if (random.one_in(2)) {
    frame.word = ProxyWord{static_cast<GrantedRole>(random.below(4)), any(),
                           static_cast<std::uint32_t>(random.next())};
    return frame;
  }
  AgentWord word{.mysqld = static_cast<MysqldState>(random.below(6)),
                 .read_only = any() ? std::optional(any()) : std::nullopt,
                 .lease_held = any(),
                 .lease_lost = any(),
                 .io_running = any(),
                 .sql_running = any(),
                 .replicates = any(),
                 .fence_failed = any(),
                 .silent_ms = static_cast<std::uint16_t>(random.next()),
                 .fenced = {random.next()}};
  word.killed = ends(word.mysqld) && any();
  for (std::uint64_t count = random.below(3); count > 0; --count) {
    auto& list = any() ? word.gtids : word.received;
    if (any()) {
      list.emplace_back(MariaDbGtid{static_cast<std::uint32_t>(random.next()),
                                    static_cast<std::uint32_t>(random.next()), random.next()});
    } else {
      MySqlGtid gtid{.number = random.next()};
      for (std::uint8_t& byte : gtid.uuid) byte = static_cast<std::uint8_t>(random.next());
      list.emplace_back(gtid);
    }
  }
  frame.word = std::move(word);
  return frame;
}

// The bytes on the wire are a contract between versions: they may not change unnoticed.
TEST(FrameTest, WireFormat) {
  EXPECT_EQ(content_of(proxy_frame()), (Bytes{1,    1,    1,    2,                             //
                                              0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,  // epoch
                                              0x11, 0x12, 0x13, 0x14,                          // seq
                                              0x21, 0x22, 0x23, 0x24,                          // ack
                                              0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,  // nonce
                                              0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,  // echo
                                              6,    'p',  'r',  'o',  'x',  'y',  '1',         //
                                              3,    1,    0x51, 0x52, 0x53, 0x54}));
  const Bytes agent = content_of(agent_frame());
  EXPECT_EQ(Bytes(agent.begin(), agent.begin() + 4), (Bytes{1, 2, 1, 1}));
  EXPECT_EQ(Bytes(agent.begin() + 36, agent.end()),
            (Bytes{7,    'd',  'b',  's',  'e',  'r',  'v',  '1',   //
                   3,    0x2b, 0x61, 0x62,                          // silent; flags; for how long
                   0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,  // fenced
                   2,                                               //
                   1,    0,    0,    0,    1,    0,    0,    0,    2, 0, 0, 0, 0, 0, 0, 0, 3,  //
                   2,    0xa0, 0xa1, 0,    0,    0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                   0,    0,    0,    0,    0,    0,    0,    4}));
}

// What a replica received has kinds of its own, and comes before what it committed when there is no room for
// both.
TEST(FrameTest, ReceivedTransactions) {
  Frame frame = agent_frame();
  auto& word = std::get<AgentWord>(frame.word);
  word.received = {MySqlGtid{{0xb0}, 5}};
  const Bytes content = content_of(frame);
  EXPECT_EQ(content.at(content.size() - 25), 4U) << "the kind of the last one";
  const AgentWord heard = std::get<AgentWord>(decode(encode(frame, ToyKeyring()), ToyKeyring())->word);
  EXPECT_EQ(heard.received, word.received);
  EXPECT_EQ(heard.gtids, std::vector<FrameGtid>{word.gtids.front()});
  word.gtids = {};
  word.received = {MariaDbGtid{1, 2, 3}, MariaDbGtid{4, 5, 6}};
  EXPECT_EQ(decode(encode(frame, ToyKeyring()), ToyKeyring())->word, frame.word);
  EXPECT_EQ(refusal(changed(content, content.size() - 25, 5)), FrameRefusal::bad_body);
  EXPECT_EQ(refusal(changed(content, content.size() - 25, 0)), FrameRefusal::bad_body);
}

// A serial line at 19200 baud carries about 96 of these bytes in half a keepalive of 100 ms.
TEST(FrameTest, StaysSmall) {
  Frame frame = agent_frame();
  frame.sender = std::string(max_node_name, 'x');
  auto& word = std::get<AgentWord>(frame.word);
  word.gtids.assign(5, MySqlGtid{});
  word.received.clear();
  EXPECT_EQ(encode(frame, ToyKeyring()).size(), 132U) << "no more than two GTIDs are sent";
  EXPECT_EQ(std::get<AgentWord>(decode(encode(frame, ToyKeyring()), ToyKeyring())->word).gtids.size(), 2U);
  word.gtids.clear();
  EXPECT_EQ(encode(frame, ToyKeyring()).size(), 82U);
  frame.key = 2;
  EXPECT_EQ(encode(frame, ToyKeyring()).size(), 70U);
}

TEST(FrameTest, ReadsBackWhatItWrote) {
  sim::Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    const Frame frame = random_frame(random);
    const Bytes bytes = encode(frame, ToyKeyring());
    ASSERT_LE(bytes.size(), max_frame);
    const auto read = decode(bytes, ToyKeyring());
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(*read, frame);
    EXPECT_EQ(claimed_sender(bytes), frame.sender);
  }
}

// Cut anywhere, one byte more, one bit changed: never taken.
TEST(FrameTest, DamageIsRefused) {
  for (const Frame& frame : {proxy_frame(), agent_frame()}) {
    const Bytes bytes = encode(frame, ToyKeyring());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const FrameRefusal why =
          refusal(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
      EXPECT_TRUE(why == FrameRefusal::too_short || why == FrameRefusal::bad_mac) << size;
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_EQ(refusal(longer), FrameRefusal::bad_mac);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      Bytes damaged = bytes;
      damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      const FrameRefusal why = refusal(damaged);
      const FrameRefusal expected = bit < 8    ? FrameRefusal::bad_version
                                    : bit < 16 ? FrameRefusal::bad_type
                                    : bit < 24 ? FrameRefusal::bad_key
                                               : FrameRefusal::bad_mac;
      // Two types and two keys are one bit from another.
      EXPECT_TRUE(why == expected || (bit < 24 && why == FrameRefusal::bad_mac)) << bit;
    }
  }
}

// Each reason by its name, for the counters.
TEST(FrameTest, Reasons) {
  EXPECT_EQ(refusal({}), FrameRefusal::too_short);
  EXPECT_EQ(refusal(Bytes(41, 1)), FrameRefusal::too_short);
  EXPECT_EQ(refusal(Bytes(max_frame + 1, 1)), FrameRefusal::too_long);
  EXPECT_EQ(refusal(Bytes(65536, 1)), FrameRefusal::too_long);
  const Bytes content = content_of(proxy_frame());
  EXPECT_EQ(refusal(changed(content, 0, 0)), FrameRefusal::bad_version);
  EXPECT_EQ(refusal(changed(content, 0, 2)), FrameRefusal::bad_version);
  EXPECT_EQ(refusal(changed(content, 1, 0)), FrameRefusal::bad_type);
  EXPECT_EQ(refusal(changed(content, 1, 3)), FrameRefusal::bad_type);
  EXPECT_EQ(refusal(changed(content, 2, 0)), FrameRefusal::bad_key);
  EXPECT_EQ(refusal(changed(content, 2, 3)), FrameRefusal::bad_key);
  EXPECT_EQ(decode(encode(proxy_frame(), ToyKeyring(1)), ToyKeyring(2)).error(), FrameRefusal::bad_mac)
      << "another secret under the same number";
  std::set<std::string> names;
  for (std::size_t i = 0; i < frame_refusals; ++i) names.insert(to_string(static_cast<FrameRefusal>(i)));
  EXPECT_EQ(names.size(), frame_refusals);
}

// Who has a key may still be a madman, or a later version: what makes no sense is refused as a whole.
TEST(FrameTest, SignedNonsenseIsRefused) {
  const Bytes proxy = content_of(proxy_frame());
  const Bytes agent = content_of(agent_frame());
  const auto with = [](Bytes content, std::initializer_list<std::pair<std::size_t, std::uint8_t>> changes) {
    for (const auto& [at, to] : changes) content.at(at) = to;
    return signed_again(std::move(content));
  };
  const std::size_t body = 36 + 1 + 6;
  const std::size_t agent_body = body + 1;
  ASSERT_TRUE(decode(signed_again(proxy), ToyKeyring()) && decode(signed_again(agent), ToyKeyring()));
  const std::vector<std::pair<const char*, Bytes>> nonsense = {
      {"no link", changed(proxy, 3, 0)},
      {"a third link", changed(proxy, 3, 3)},
      {"seq 0", with(proxy, {{12, 0}, {13, 0}, {14, 0}, {15, 0}})},
      {"nonce 0", with(proxy, {{20, 0}, {21, 0}, {22, 0}, {23, 0}, {24, 0}, {25, 0}, {26, 0}, {27, 0}})},
      {"no name", changed(proxy, 36, 0)},
      {"a name that is longer", changed(proxy, 36, 7)},
      {"a name beyond the end", changed(proxy, 36, 255)},
      {"a name of 17", changed(agent, 36, 17)},
      {"a blank in the name", changed(proxy, 38, ' ')},
      {"a zero in the name", changed(proxy, 38, 0)},
      {"not ASCII in the name", changed(proxy, 38, 0xe4)},
      {"role 4", changed(proxy, body, 4)},
      {"an unknown flag", changed(proxy, body + 1, 2)},
      {"a byte too few", signed_again(Bytes(proxy.begin(), proxy.end() - 1))},
      {"a byte too many", signed_again([&] {
         Bytes more = proxy;
         more.push_back(0);
         return more;
       }())},
      {"mysqld 6", changed(agent, agent_body, 6)},
      {"a mysqld that answers and was killed", changed(agent, agent_body, 2 | 128)},
      {"a mysqld 6 that was killed", changed(agent, agent_body, 6 | 128)},
      {"read_only, which is not known", changed(agent, agent_body + 1, 2)},
      {"three GTIDs announced", changed(agent, agent_body + 12, 3)},
      {"one GTID announced", changed(agent, agent_body + 12, 1)},
      {"255 GTIDs announced", changed(agent, agent_body + 12, 255)},
      {"a GTID of kind 0", changed(agent, agent_body + 13, 0)},
      {"a GTID of kind 5", changed(agent, agent_body + 13, 5)},
      {"a MySQL GTID that is shorter", changed(agent, agent_body + 13, 2)},
      {"a received MySQL GTID that is shorter", changed(agent, agent_body + 13, 4)},
      {"half a GTID", signed_again(Bytes(agent.begin(), agent.end() - 9))},
      {"the agent's word as the proxy's", changed(agent, 1, 1)},
      {"the proxy's word as the agent's", changed(proxy, 1, 2)},
  };
  for (const auto& [what, bytes] : nonsense) EXPECT_EQ(refusal(bytes), FrameRefusal::bad_body) << what;
}

// Which session is to judge it is found before anything is checked, so from any bytes.
TEST(FrameTest, ClaimedSenderOfAnything) {
  const Bytes good = encode(proxy_frame(), ToyKeyring());
  EXPECT_EQ(claimed_sender(good), "proxy1");
  for (std::size_t size = 0; size < 43; ++size)
    EXPECT_EQ(claimed_sender(std::span(good).first(size)), std::nullopt) << size;
  EXPECT_EQ(claimed_sender(Bytes(200, 1)), std::nullopt);
  EXPECT_EQ(claimed_sender(Bytes(100, 255)), std::nullopt);
}

}  // namespace
}  // namespace pointsman::core
