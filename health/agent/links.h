#pragma once

#include <array>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/agent_config.h"
#include "health/agent/peers.h"
#include "health/core/frame.h"
#include "health/io/destination.h"
#include "health/io/log.h"
#include "health/io/log_limiter.h"
#include "health/io/loop.h"
#include "health/io/serial_link.h"
#include "health/io/udp_port.h"

namespace pointsman::agent {

// The agent's ways to the proxies, UDP and a serial line, and what is said of them in the log. Made, used and
// destroyed on the loop's thread; the log and the keys outlive it.
class Links {
 public:
  // The proxy's configuration has deadtime and warntime, the agent's has not: a link is late, or dead, after
  // so many keepalives in words only; nothing is decided by it.
  static constexpr int late_after = 4;
  static constexpr int dead_after = 10;

  // A frame that counts as life.
  struct Word {
    core::ProxyWord word;
    core::Epoch epoch;
    std::optional<core::Instant> ack_sent_at;
    bool newest = true;  // as in LinkSession::Received
    std::string peer;
    core::LinkKind link;
  };
  struct Callbacks {
    std::function<void(const Word&)> on_word;
    std::function<core::Epoch()> least_epoch;
  };

  Links(io::Loop& loop, io::Log& log, const conf::AgentHeartbeat& config, const core::Keyring& keys,
        Callbacks callbacks);
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  // Error: the UDP port cannot be bound. A serial device that is not there is only logged; it may come.
  std::expected<void, std::string> start();

  // A frame for each proxy on each way to it.
  void send(const core::AgentWord& word, core::Epoch epoch);
  // Once a keepalive: which links have fallen silent, and whether two proxies speak to us.
  void look();
  // "udp alive, serial late".
  std::string summary() const;

  // Port 0 in the configuration: where it is.
  const io::Address& local() const { return udp_.local(); }

 private:
  enum class State { unheard, alive, late, dead };
  static const char* to_string(State state);
  void hear(std::span<const std::uint8_t> bytes, core::LinkKind link, const std::optional<io::Address>& from);
  void tell_refused(std::span<const std::uint8_t> bytes, core::LinkKind link,
                    const std::optional<io::Address>& from, core::FrameRefusal refusal);
  void complain(core::LinkKind link);
  void tell_stranger(const Peer& peer, core::Instant now);
  void set_state(core::LinkKind link, State state, core::Duration silent);
  void tell_line();
  void look_at_line(core::Instant now);
  std::vector<io::Address> targets(const Peer& peer) const;

  io::Loop& loop_;
  io::Log& log_;
  const conf::AgentHeartbeat& config_;
  const Callbacks callbacks_;
  Peers peers_;
  core::LinkSession complaints_;  // with whoever has other keys
  io::LogLimiter limiter_{std::chrono::seconds(10)};
  io::LogLimiter complaint_limiter_{std::chrono::seconds(1)};
  std::vector<std::unique_ptr<io::Destination>> proxies_;
  std::array<State, core::link_kinds> states_{};
  std::array<std::optional<core::Instant>, core::link_kinds> alive_at_{};
  std::uint64_t noise_told_ = 0;
  std::string line_told_;
  bool two_told_ = false;
  io::UdpPort udp_;
  std::optional<io::SerialLink> serial_;
};

}  // namespace pointsman::agent
