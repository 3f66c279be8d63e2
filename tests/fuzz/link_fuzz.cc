#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "health/core/link_session.h"
#include "tests/core/link_model.h"

namespace {

using namespace pointsman::core;

void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", law);
  std::abort();
}

// Takes any code for a good one, so that the bytes reach what lies behind it.
class CredulousKeyring : public Keyring {
 public:
  std::uint8_t sending_key() const override { return 1; }
  std::optional<std::size_t> mac_size(std::uint8_t key) const override {
    return key == 0 ? std::nullopt : std::optional<std::size_t>(key % 2 == 1 ? 16 : 4);
  }
  void sign(std::uint8_t, std::span<const std::uint8_t>, std::span<std::uint8_t> mac) const override {
    std::ranges::fill(mac, std::uint8_t{0});
  }
  bool verify(std::uint8_t, std::span<const std::uint8_t>, std::span<const std::uint8_t>) const override {
    return true;
  }
};

// The bytes as one frame: it reads back as it was, or is refused; and no session takes it twice.
void one_frame(std::span<const std::uint8_t> bytes) {
  const CredulousKeyring keys;
  const auto frame = decode(bytes, keys);
  if (frame) {
    const auto again = encode(*frame, keys);
    require(again.size() == bytes.size(), "a frame written again has its length");
    const std::size_t mac = keys.mac_size(frame->key).value_or(0);
    require(std::ranges::equal(bytes.first(bytes.size() - mac), std::span(again).first(again.size() - mac)),
            "a frame written again is the same");
    require(claimed_sender(bytes) == frame->sender, "the claimed sender is the sender");
  }
  // Nonces that a seed of the corpus can name.
  LinkSession proxy("proxy1", "dbserv1", FrameType::proxy, keys, [] { return 0x0101010101010101U; });
  LinkSession agent("dbserv1", "proxy1", FrameType::agent, keys, [] { return 0x0202020202020202U; });
  Instant now{};
  std::array<bool, 2> taken_by{};
  for (int round = 0; round < 3; ++round) {
    now += std::chrono::milliseconds(1);
    for (LinkSession* session : {&proxy, &agent}) {
      bool& taken = taken_by.at(session == &proxy ? 0 : 1);
      for (const LinkKind link : {LinkKind::udp, LinkKind::serial}) {
        for (int twice = 0; twice < 2; ++twice) {
          const bool now_taken = session->open(bytes, link, now).has_value();
          require(!(taken && now_taken), "a frame counts once");
          taken = taken || now_taken;
        }
      }
    }
    proxy.seal(ProxyWord{}, Epoch{1}, LinkKind::udp, now);
    agent.seal(AgentWord{}, Epoch{1}, LinkKind::udp, now);
  }
}

// The bytes as orders to somebody who stands between the two: which frame goes where, which process ends.
void script(std::span<const std::uint8_t> bytes) {
  LinkModel model(1);
  std::size_t at = 0;
  const auto next = [&]() -> std::size_t { return at < bytes.size() ? bytes[at++] : 0; };
  while (at < bytes.size() && model.frames() < 512 && model.broken().empty()) {
    const std::size_t order = next();
    const auto side = static_cast<unsigned>(order >> 3U & 1U);
    const LinkKind link = (order >> 4U & 1U) == 0 ? LinkKind::udp : LinkKind::serial;
    // Counted from the latest, as those are what matters most.
    const auto some_frame = [&] { return model.frames() - 1 - next() % model.frames(); };
    switch (order & 7U) {
      case 0:
        model.restart(side);
        break;
      case 1:
        model.meet(side, link);
        break;
      case 2:
      case 3:
        model.seal(side, link);
        break;
      case 4:
        if (const auto which = model.seal(side, link)) model.deliver(*which);
        break;
      case 5:
        if (model.frames() > 0) model.deliver(some_frame());
        break;
      case 6:
        if (model.frames() > 0) model.deliver(some_frame(), side, link);
        break;
      default:
        if (model.frames() > 0) {
          const std::size_t which = some_frame();
          model.deliver_damaged(which, next() * 3, side == 0);
        }
    }
  }
  if (model.broken().empty() && model.frames() < 512) model.meet(0, LinkKind::udp);
  require(model.broken().empty(), model.broken().c_str());
}

}  // namespace

// The first byte chooses; the rest is one frame with any code, or a script for two sessions.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  if (data[0] == 'f') {
    one_frame(rest);
  } else {
    script(rest);
  }
  return 0;
}
