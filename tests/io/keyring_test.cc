#include "health/io/keyring.h"

#include <set>
#include <string_view>

#include <gtest/gtest.h>

#include "health/core/link_session.h"

namespace pointsman::io {
namespace {

using Method = conf::AuthKeys::Method;

conf::AuthKeys keys_of(std::vector<conf::AuthKeys::Key> keys) {
  const unsigned sending = keys.front().number;
  return {.keys = std::move(keys), .sending = sending, .file = "authkeys"};
}

std::unique_ptr<AuthKeyring> ring_of(std::vector<conf::AuthKeys::Key> keys) {
  auto ring = AuthKeyring::make(keys_of(std::move(keys)));
  EXPECT_TRUE(ring) << ring.error();
  return ring ? std::move(*ring) : nullptr;
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string hex_mac(const core::Keyring& ring, std::uint8_t key, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::vector<std::uint8_t> mac(ring.mac_size(key).value_or(0));
  ring.sign(key, bytes_of(text), mac);
  EXPECT_TRUE(ring.verify(key, bytes_of(text), mac));
  std::string hex;
  for (const std::uint8_t byte : mac) hex += {digits[byte >> 4U], digits[byte & 15U]};
  return hex;
}

// The vectors of RFC 4231 (SHA-256) and RFC 2202 (SHA-1, MD5), cut to 128 bits, and the check value of
// CRC-32.
TEST(AuthKeyringTest, KnownVectors) {
  const std::string b20(20, '\x0b');
  const std::string b16(16, '\x0b');
  const std::string a131(131, '\xaa');
  const auto ring = ring_of({{1, Method::sha256, b20},
                             {2, Method::sha256, "Jefe"},
                             {3, Method::sha256, a131},
                             {4, Method::sha1, b20},
                             {5, Method::sha1, "Jefe"},
                             {6, Method::md5, b16},
                             {7, Method::md5, "Jefe"},
                             {255, Method::crc, ""}});
  const std::string jefe = "what do ya want for nothing?";
  for (int again = 0; again < 2; ++again) {  // the kept context begins anew each time
    EXPECT_EQ(hex_mac(*ring, 1, "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b");
    EXPECT_EQ(hex_mac(*ring, 2, jefe), "5bdcc146bf60754e6a042426089575c7");
    EXPECT_EQ(hex_mac(*ring, 3, "Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f");
    EXPECT_EQ(hex_mac(*ring, 4, "Hi There"), "b617318655057264e28bc0b6fb378c8e");
    EXPECT_EQ(hex_mac(*ring, 5, jefe), "effcdf6ae5eb2fa2d27416d5f184df9c");
    EXPECT_EQ(hex_mac(*ring, 6, "Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
    EXPECT_EQ(hex_mac(*ring, 7, jefe), "750c783e6ab0b503eaa86e310a5db738");
    EXPECT_EQ(hex_mac(*ring, 255, "123456789"), "cbf43926");
  }
}

// A code counts whole, of its own key, and of a key that is there.
TEST(AuthKeyringTest, RefusesOtherCodes) {
  const auto ring = ring_of({{9, Method::sha256, "a"}, {2, Method::sha256, "b"}, {3, Method::crc, ""}});
  EXPECT_EQ(ring->sending_key(), 9);
  EXPECT_EQ(ring->mac_size(9), 16U);
  EXPECT_EQ(ring->mac_size(3), 4U);
  EXPECT_EQ(ring->mac_size(1), std::nullopt);
  EXPECT_EQ(ring->mac_size(0), std::nullopt);
  std::vector<std::uint8_t> mac(16);
  ring->sign(9, bytes_of("text"), mac);
  EXPECT_TRUE(ring->verify(9, bytes_of("text"), mac));
  EXPECT_FALSE(ring->verify(2, bytes_of("text"), mac));
  EXPECT_FALSE(ring->verify(1, bytes_of("text"), mac));
  EXPECT_FALSE(ring->verify(9, bytes_of("texT"), mac));
  EXPECT_FALSE(ring->verify(9, bytes_of("text"), std::span(mac).first(15)));
  EXPECT_FALSE(ring->verify(9, bytes_of("text"), {}));
  for (std::size_t bit = 0; bit < 128; ++bit) {
    auto wrong = mac;
    wrong[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_FALSE(ring->verify(9, bytes_of("text"), wrong));
  }
}

// Never asked for by the loader, but an owner may make keys by himself.
TEST(AuthKeyringTest, RefusesToSendWithAKeyThatIsNotThere) {
  conf::AuthKeys keys = keys_of({{1, Method::sha256, "a"}});
  keys.sending = 2;
  const auto ring = AuthKeyring::make(keys);
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error(), "authkeys: there is no key 2 to sign with");
}

// Two hosts with real keys of each method meet; and while the key is changed, with `--add` first, there is no
// gap.
TEST(AuthKeyringTest, SessionsMeetAndChangeKeysWithoutAGap) {
  using core::LinkSession;
  const core::Instant now{};
  for (const Method method : {Method::sha256, Method::sha1, Method::md5, Method::crc}) {
    const conf::AuthKeys::Key old_key{1, method, method == Method::crc ? "" : "old"};
    const conf::AuthKeys::Key new_key{2, Method::sha256, "new"};
    const auto before = ring_of({old_key, new_key});
    const auto after = ring_of({new_key, old_key});
    for (const auto& [ours, theirs] : {std::pair(before.get(), before.get()),
                                       {before.get(), after.get()},
                                       {after.get(), before.get()},
                                       {after.get(), after.get()}}) {
      LinkSession proxy("proxy1", "dbserv1", core::FrameType::proxy, *ours, random_nonce);
      LinkSession agent("dbserv1", "proxy1", core::FrameType::agent, *theirs, random_nonce);
      bool met = false;
      for (int round = 0; round < 2; ++round) {
        const auto down = proxy.seal(core::ProxyWord{}, core::Epoch{1}, core::LinkKind::udp, now);
        met = agent.open(down, core::LinkKind::udp, now).has_value();
        const auto up = agent.seal(core::AgentWord{}, core::Epoch{1}, core::LinkKind::udp, now);
        met = proxy.open(up, core::LinkKind::udp, now).has_value() && met;
      }
      EXPECT_TRUE(met) << conf::to_string(method);
    }
  }
}

TEST(AuthKeyringTest, NoncesDiffer) {
  std::set<std::uint64_t> nonces;
  for (int i = 0; i < 1000; ++i) nonces.insert(random_nonce());
  EXPECT_EQ(nonces.size(), 1000U);
  EXPECT_FALSE(nonces.contains(0));
}

}  // namespace
}  // namespace pointsman::io
