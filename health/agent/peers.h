#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <list>
#include <optional>
#include <span>
#include <string>

#include "health/core/link_session.h"
#include "health/io/address.h"

namespace pointsman::agent {

// A proxy that we hear, or hear of.
struct Peer {
  core::LinkSession session;
  core::Instant heard_at;                // a frame of it that was worth an answer, on any link
  std::optional<io::Address> address{};  // UDP: where that came from
  bool on_serial = false;                // it came by the serial line
  std::array<std::optional<core::Instant>, core::link_kinds> alive_at{};  // last frame that counts, by link

  const std::string& name() const { return session.peer_name(); }
  // A frame that counts came within `age`, on any link.
  bool alive(core::Instant now, core::Duration age) const;
};

// The proxies' sessions. An agent is not told their names: whoever signs with one of our keys is a proxy, and
// gets a session. At most max_peers are kept; for one more, the one goes that was heard longest ago, those
// first that never proved that they live. Opens no socket. Loop's thread; the keys outlive it.
class Peers {
 public:
  static constexpr std::size_t max_peers = 4;
  // One that never proved itself is not answered any longer.
  static constexpr core::Duration forget_strangers = std::chrono::seconds(10);
  // One that did is forgotten when another has taken over.
  static constexpr core::Duration forget_former = std::chrono::seconds(60);

  Peers(std::string node, const core::Keyring& keys, core::LinkSession::NonceSource nonces);

  struct Heard {
    std::expected<core::LinkSession::Received, core::FrameRefusal> result;
    Peer* peer = nullptr;  // null: nobody's, or refused before a session was looked for
  };
  // What came on a link of this kind, by UDP from `from`. Frames of an epoch lower than `least` are refused.
  Heard hear(std::span<const std::uint8_t> bytes, core::LinkKind link, const std::optional<io::Address>& from,
             core::Epoch least, core::Instant now);

  void forget_old(core::Instant now);

  // It is the only one that frames need to reach: they are sent by every way there is.
  bool sole(const Peer& peer) const;
  std::list<Peer>& all() { return peers_; }
  const std::list<Peer>& all() const { return peers_; }

 private:
  Peer& session_of(const std::string& name, core::Instant now);

  const std::string node_;
  const core::Keyring& keys_;
  const core::LinkSession::NonceSource nonces_;
  std::list<Peer> peers_;
};

}  // namespace pointsman::agent
