#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "health/core/link_session.h"
#include "tests/core/toy_keyring.h"
#include "tests/sim/random.h"

namespace pointsman::core {

// A proxy and an agent, and somebody between them who keeps every frame that was ever sent and hands over
// whichever he likes, when and where he likes, whole or damaged. After each step the promises of LinkSession
// are checked; the first that is broken stays in broken(). Used by the tests of the session and by its fuzz
// target.
class LinkModel {
 public:
  explicit LinkModel(std::uint64_t seed, std::uint8_t key = 1) : random_(seed), keys_(7, key) {
    restart(0);
    restart(1);
  }

  static constexpr std::size_t max_frames = 4096;  // kept; then nothing more is sent

  std::size_t frames() const { return sent_.size(); }
  const std::string& broken() const { return broken_; }
  LinkSession& session(unsigned side) { return *sides_.at(side); }

  // The process at this end ends and another one begins.
  void restart(unsigned side) {
    const auto nonces = [this] {
      const std::uint64_t nonce = random_.next();
      born_.emplace(nonce, born_.size());
      return nonce;
    };
    sides_.at(side) =
        std::make_unique<LinkSession>(side == 0 ? "proxy1" : "dbserv1", side == 0 ? "dbserv1" : "proxy1",
                                      side == 0 ? FrameType::proxy : FrameType::agent, keys_, nonces);
    present_.at(side) = 0;
  }

  // The index of the frame; nullopt when there are too many.
  std::optional<std::size_t> seal(unsigned side, LinkKind link) {
    if (sent_.size() >= max_frames) return std::nullopt;
    const Word word = side == 0 ? Word(ProxyWord{.role = GrantedRole::primary, .lease_ms = 800})
                                : Word(AgentWord{.mysqld = MysqldState::answers, .read_only = false});
    sent_.push_back({.bytes = session(side).seal(word, Epoch{1}, link, tick()), .side = side, .link = link});
    const auto frame = decode(sent_.back().bytes, keys_);
    require(frame.has_value(), "a sealed frame cannot be read");
    if (frame) sent_.back().nonce = frame->nonce;
    require(sent_.back().bytes.size() <= 82, "an ordinary frame is longer than promised");
    return sent_.size() - 1;
  }

  // True: it counted as life.
  bool deliver(std::size_t which, unsigned to, LinkKind link) {
    return open(which, to, link, sent_.at(which).bytes);
  }

  // To where it belongs.
  bool deliver(std::size_t which) {
    const Sent& sent = sent_.at(which);
    return deliver(which, 1 - sent.side, sent.link);
  }

  // With one bit changed, or cut off behind the byte of that bit when `cut`.
  bool deliver_damaged(std::size_t which, std::size_t bit, bool cut) {
    const Sent& sent = sent_.at(which);
    std::vector<std::uint8_t> bytes = sent.bytes;
    bit %= bytes.size() * 8;
    if (cut) {
      bytes.resize(bit / 8);
    } else {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    }
    return open(which, 1 - sent.side, sent.link, bytes);
  }

  // Genuine frames in turn, none lost: whatever came before, the second one of each side counts. A side that
  // takes a new nonce of its own on the way starts the meeting anew.
  void meet(unsigned first, LinkKind link) {
    const std::uint64_t nonces = own_nonces();
    bool all = exchange(first, link);
    all = exchange(first, link);
    if (!all && nonces != own_nonces()) {
      exchange(first, link);
      all = exchange(first, link);
    }
    require(all || sent_.size() >= max_frames, "two frames each way, and they do not know each other");
  }

 private:
  struct Sent {
    std::vector<std::uint8_t> bytes;
    unsigned side = 0;
    LinkKind link = LinkKind::udp;
    std::uint64_t nonce = 0;
    bool delivered =
        false;  // whole, to the other side, on its kind of link: whatever comes now is a recording
  };

  Instant tick() { return now_ += std::chrono::milliseconds(10); }
  std::uint64_t own_nonces() { return session(0).counters().own_nonces + session(1).counters().own_nonces; }

  void require(bool holds, const char* promise) {
    if (!holds && broken_.empty()) broken_ = promise;
  }

  bool exchange(unsigned first, LinkKind link) {
    bool both = true;
    for (const unsigned side : {first, 1 - first}) {
      const auto which = seal(side, link);
      both = which && deliver(*which) && both;
    }
    return both;
  }

  bool open(std::size_t which, unsigned to, LinkKind link, const std::vector<std::uint8_t>& bytes) {
    Sent& sent = sent_.at(which);
    LinkSession& receiver = session(to);
    const std::uint64_t sessions = receiver.counters().sessions_begun;
    const auto result = receiver.open(bytes, link, tick());
    const bool whole = bytes == sent.bytes;
    const bool belongs = to != sent.side && link == sent.link;
    if (result) {
      require(whole, "a damaged frame counted as life");
      require(to != sent.side, "a reflected frame counted as life");
      require(link == sent.link, "a frame of another path counted as life");
      require(!sent.delivered, "a recorded frame counted as life");
      require(!result->ack_sent_at || *result->ack_sent_at < now_, "heard before it was sent");
      check_session(to, sent.nonce, result->new_session);
    } else {
      require(receiver.counters().sessions_begun == sessions, "a refused frame began a session");
      if (whole && to == sent.side)
        require(refused_as_ours(result.error()), "a reflected frame is taken for another");
    }
    if (whole && belongs) sent.delivered = true;
    return result.has_value();
  }

  static bool refused_as_ours(FrameRefusal refusal) { return refusal == FrameRefusal::reflected; }

  // Sessions go forward only: each that begins is of a nonce drawn later than the one before.
  void check_session(unsigned side, std::uint64_t nonce, bool is_new) {
    std::uint64_t& present = present_.at(side);
    require(is_new == (nonce != present), "a new session that is not new, or the reverse");
    require(present == 0 || born_.at(nonce) >= born_.at(present), "an old session replaced a younger one");
    present = nonce;
  }

  sim::Random random_;
  ToyKeyring keys_;
  std::unordered_map<std::uint64_t, std::size_t> born_;  // nonce to its place in the order of drawing
  std::array<std::unique_ptr<LinkSession>, 2> sides_;
  std::array<std::uint64_t, 2>
      present_{};  // the nonce of the other side's session, as it counts for this one
  std::vector<Sent> sent_;
  Instant now_{};
  std::string broken_;
};

}  // namespace pointsman::core
