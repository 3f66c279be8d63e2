#include "tests/agent/played_proxy.h"

#include <stdexcept>
#include <utility>

#include "health/core/frame_gtids.h"
#include "health/io/clock.h"

namespace pointsman::agent {

using core::LinkKind;

PlayedProxy::PlayedProxy(io::Loop& loop, std::string name, const core::Keyring& keys,
                         const conf::HostPort& agent, const std::string& serial)
    : agent_(*io::Address::numeric(agent)),
      session_(std::move(name), "db1", core::FrameType::proxy, keys, io::random_nonce),
      udp_(loop, {.on_datagram = [this](const io::Address&,
                                        std::span<const std::uint8_t> bytes) { hear(bytes, LinkKind::udp); },
                  .on_error = {}}),
      timer_(loop, [this] { send_now(); }) {
  if (auto bound = udp_.bind(*io::Address::numeric({"127.0.0.1", 0})); !bound)
    throw std::runtime_error(bound.error());
  if (!serial.empty()) {
    serial_.emplace(
        loop, serial, 19200U,
        io::SerialLink::Callbacks{
            .on_frame = [this](std::span<const std::uint8_t> bytes) { hear(bytes, LinkKind::serial); },
            .on_change = {}});
  }
  timer_.start_every(keepalive);
}

void PlayedProxy::grant(core::GrantedRole role, std::uint64_t epoch, std::uint32_t lease_ms, bool kill_hung) {
  says_ = {
      .role = role, .kill_hung = kill_hung, .lease_ms = role == core::GrantedRole::primary ? lease_ms : 0};
  epoch_ = core::Epoch{epoch};
  send_now();
}

void PlayedProxy::send_now() {
  const core::Instant now = io::now();
  if (speaks_[core::index(LinkKind::udp)]) {
    sent_.push_back(session_.seal(says_, epoch_, LinkKind::udp, now));
    udp_.send(agent_, sent_.back());
  }
  if (serial_ && speaks_[core::index(LinkKind::serial)])
    serial_->send(session_.seal(says_, epoch_, LinkKind::serial, now));
}

void PlayedProxy::hear(std::span<const std::uint8_t> bytes, LinkKind link) {
  if (!listens_[core::index(link)]) return;
  const core::Instant now = io::now();
  auto received = session_.open(bytes, link, now);
  if (!received) return;
  if (auto* word = std::get_if<core::AgentWord>(&received->frame.word))
    heard_.push_back({now, link, received->frame.epoch, std::move(*word)});
}

const PlayedProxy::Heard* PlayedProxy::find(core::Instant since,
                                            const std::function<bool(const core::AgentWord&)>& wanted) const {
  for (const Heard& heard : heard_) {
    if (heard.at >= since && wanted(heard.word)) return &heard;
  }
  return nullptr;
}

std::string PlayedProxy::gtids() const {
  for (auto heard = heard_.rbegin(); heard != heard_.rend(); ++heard) {
    if (!heard->word.gtids.empty()) return core::gtids_of(heard->word.gtids).to_string();
  }
  return "";
}

}  // namespace pointsman::agent
