#include "health/agent/peers.h"

#include <algorithm>
#include <utility>

namespace pointsman::agent {
namespace {

// Such a frame may be the first one of a proxy that was started again: it needs our answer to prove itself.
bool worth_an_answer(const Peers::Heard& heard) {
  if (heard.result) return true;
  const core::FrameRefusal refusal = heard.result.error();
  return refusal == core::FrameRefusal::no_echo || refusal == core::FrameRefusal::unproven ||
         refusal == core::FrameRefusal::lower_epoch;
}

}  // namespace

bool Peer::alive(core::Instant now, core::Duration age) const {
  return std::ranges::any_of(alive_at, [&](const auto& at) { return at && now - *at <= age; });
}

Peers::Peers(std::string node, const core::Keyring& keys, core::LinkSession::NonceSource nonces)
    : node_(std::move(node)), keys_(keys), nonces_(std::move(nonces)) {}

Peers::Heard Peers::hear(std::span<const std::uint8_t> bytes, core::LinkKind link,
                         const std::optional<io::Address>& from, core::Epoch least, core::Instant now) {
  const auto frame = core::decode(bytes, keys_);
  if (!frame) return {std::unexpected(frame.error())};
  if (frame->type() != core::FrameType::proxy) {
    const bool our_name = frame->sender == node_;
    return {std::unexpected(our_name ? core::FrameRefusal::reflected : core::FrameRefusal::wrong_direction)};
  }
  // Before a session is made for it, and another one perhaps lost.
  if (frame->link != link) return {std::unexpected(core::FrameRefusal::wrong_link)};
  Peer& peer = session_of(frame->sender, now);
  peer.session.set_least_epoch(least);
  Heard heard{peer.session.open(bytes, link, now), &peer};
  // Somebody who replays frames of the present session may not turn our answers away.
  const bool present_is_heard = peer.session.established() && peer.alive(now, forget_strangers);
  if (heard.result || (worth_an_answer(heard) && !present_is_heard)) {
    peer.heard_at = now;
    if (from) peer.address = from;
    if (link == core::LinkKind::serial) peer.on_serial = true;
  }
  if (heard.result) peer.alive_at[core::index(link)] = now;
  return heard;
}

Peer& Peers::session_of(const std::string& name, core::Instant now) {
  const auto known = std::ranges::find(peers_, name, &Peer::name);
  if (known != peers_.end()) return *known;
  if (peers_.size() >= max_peers) {
    peers_.erase(std::ranges::min_element(
        peers_, {}, [](const Peer& peer) { return std::pair(peer.session.established(), peer.heard_at); }));
  }
  return peers_.emplace_back(Peer{
      .session = core::LinkSession(node_, name, core::FrameType::agent, keys_, nonces_), .heard_at = now});
}

void Peers::forget_old(core::Instant now) {
  const bool one_is_alive =
      std::ranges::any_of(peers_, [&](const Peer& peer) { return peer.alive(now, forget_strangers); });
  std::erase_if(peers_, [&](const Peer& peer) {
    if (!peer.session.established()) return now - peer.heard_at > forget_strangers;
    return one_is_alive && now - peer.heard_at > forget_former;
  });
}

bool Peers::sole(const Peer& peer) const {
  return std::ranges::all_of(peers_, [&](const Peer& other) {
    return &other == &peer || (peer.session.established() && !other.session.established());
  });
}

}  // namespace pointsman::agent
