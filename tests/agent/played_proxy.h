#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/link_session.h"
#include "health/io/keys.h"
#include "health/io/loop.h"
#include "health/io/serial_link.h"
#include "health/io/timer.h"
#include "health/io/udp_port.h"

namespace pointsman::agent {

// The proxy's end of the links to one agent, played by a test: says what the test wants said, at each
// keepalive, and keeps what it hears. One thread, that of the loop.
class PlayedProxy {
 public:
  static constexpr core::Duration keepalive = std::chrono::milliseconds(100);

  struct Heard {
    core::Instant at;
    core::LinkKind link;
    core::Epoch epoch;
    core::AgentWord word;
  };

  // `serial`: the device of its end of a line; "": none.
  PlayedProxy(io::Loop& loop, std::string name, const core::Keyring& keys, const conf::HostPort& agent,
              const std::string& serial);

  void grant(core::GrantedRole role, std::uint64_t epoch, std::uint32_t lease_ms = 600,
             bool kill_hung = true);
  void speak(core::LinkKind link, bool on) { speaks_[core::index(link)] = on; }
  void silence() { speaks_ = {}; }
  // What it hears on this kind of link is lost.
  void listen(core::LinkKind link, bool on) { listens_[core::index(link)] = on; }
  void send_now();
  // Any bytes to the agent by UDP.
  void send_raw(std::span<const std::uint8_t> bytes) { udp_.send(agent_, bytes); }

  const std::vector<Heard>& heard() const { return heard_; }
  const core::AgentWord* word() const { return heard_.empty() ? nullptr : &heard_.back().word; }
  // The first frame at or after `since` that satisfies `wanted`.
  const Heard* find(core::Instant since, const std::function<bool(const core::AgentWord&)>& wanted) const;
  // The last GTIDs that were told.
  std::string gtids() const;
  const core::LinkSession& session() const { return session_; }
  // Every frame that was sent by UDP, to be replayed.
  const std::vector<std::vector<std::uint8_t>>& sent() const { return sent_; }
  const io::UdpPort& udp() const { return udp_; }

 private:
  void hear(std::span<const std::uint8_t> bytes, core::LinkKind link);

  const io::Address agent_;
  core::LinkSession session_;
  core::ProxyWord says_;
  core::Epoch epoch_;
  std::array<bool, core::link_kinds> speaks_{true, true};
  std::array<bool, core::link_kinds> listens_{true, true};
  std::vector<Heard> heard_;
  std::vector<std::vector<std::uint8_t>> sent_;
  io::UdpPort udp_;
  std::optional<io::SerialLink> serial_;
  io::Timer timer_;
};

}  // namespace pointsman::agent
