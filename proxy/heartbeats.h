#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/controller.h"
#include "health/core/link_session.h"
#include "health/io/descriptor.h"
#include "health/io/destination.h"
#include "health/io/keys.h"
#include "health/io/log.h"
#include "health/io/log_limiter.h"
#include "health/io/loop.h"
#include "health/io/serial_link.h"
#include "health/io/timer.h"
#include "health/io/udp_port.h"
#include "proxy/link_report.h"

namespace pointsman::proxy {

// The proxy's end of the links to the agents: one UDP port for all of them, and a serial line to each that
// has one. Frames that prove life go to the decision core; what the core wants an agent to know goes out at
// each keepalive, and at once when it changes. Decides nothing. Control loop's thread; owned by the daemon,
// which makes one when a backend has a link.
class Heartbeats {
 public:
  struct Callbacks {
    std::function<void(core::AgentHeard)> on_heard;
    std::function<core::Controller::AgentOrder(core::BackendId)> order_for;
    // See Controller::on_sealed().
    std::function<void(core::BackendId, const core::ProxyWord&, std::optional<core::Instant>)> on_sealed;
  };

  // What another process had open, and nobody could open beside it.
  struct Given {
    io::Descriptor udp;                           // bound to heartbeat.listen; or none
    std::map<std::string, io::Descriptor> lines;  // by device
  };

  Heartbeats(io::Loop& loop, io::Log& log, const conf::Config& config, std::unique_ptr<io::AuthKeyring> keys,
             Callbacks callbacks, Given given = {});
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  // Binds the port and begins to send. Error: the port cannot be bound. A serial device that is not there is
  // only logged; it may come.
  std::expected<void, std::string> start();
  // Tells each agent at once whose order has changed. After every step of the core.
  void send_changes();
  void reconfigure(const conf::Config& config, std::unique_ptr<io::AuthKeyring> keys);
  void stop();
  // Says and hears nothing meanwhile: another process does, on the same sockets and lines. Before it begins
  // each agent is told once more what it was told last, so that the lease of the primary is a new one.
  void suspend();
  void resume();
  // Suspended for good: all goes on as it is when this is destroyed.
  void leave();
  // To give to another process; -1 and none: not open.
  int udp_socket() const { return udp_.fd(); }
  const io::Address& udp_address() const { return udp_.local(); }
  std::map<std::string, int> lines() const;

  // What a link has done; nullopt: no link to this backend is configured.
  std::optional<LinkReport> link_report(core::BackendId backend, core::LinkKind link) const;
  // Of the agent's frames, on all links; see LostFrames.
  std::uint64_t lost_frames(core::BackendId backend) const;
  HeartbeatPortReport port_report() const;
  // What is wrong with frames or lines now, sentences.
  std::vector<std::string> warnings() const;

 private:
  // A kind of trouble that is told while it lasts.
  struct Trouble {
    std::optional<core::Instant> at{};  // last
    std::string text{};
  };
  struct Peer {
    core::BackendId id{};
    std::string name;
    core::LinkSession session;
    std::vector<std::unique_ptr<io::Destination>> udp{};
    std::unique_ptr<io::SerialLink> serial{};
    std::string line_told{};
    std::uint64_t noise_told = 0;  // when the present period of looking began
    core::Instant noise_since{};
    core::Instant strange_at{};  // the last frame of another session, and the first of an unbroken row
    core::Instant strange_since{};
    core::Controller::AgentOrder sent{};
    std::array<core::Instant, core::link_kinds> sent_at{};
    std::array<LinkPace, core::link_kinds> paces{};
    LostFrames lost{};
    std::string udp_error{};
    Trouble wrong_key{};
    Trouble stranger{};
    Trouble crossed{};
    Trouble noise{};
  };

  void add_peer(core::BackendId id, const conf::Backend& backend);
  void open_line(Peer& peer, const conf::Backend& backend);
  Peer* find(std::string_view name);
  const Peer* find(core::BackendId backend) const;
  void hear(std::span<const std::uint8_t> bytes, core::LinkKind link, Peer* line_of, const std::string& from);
  void take(Peer& peer, const core::LinkSession::Received& received, core::LinkKind link,
            const std::string& from);
  void tell_refused(Peer& peer, core::FrameRefusal refusal, core::LinkKind link, const std::string& from);
  void tell_unknown(std::span<const std::uint8_t> bytes, core::LinkKind link, const std::string& from);
  void note_stranger(Peer& peer, core::Instant now);
  void tell_line(Peer& peer);
  void look_at_line(Peer& peer, core::Instant now);
  void note_send_error(const io::Address& to, const std::string& text);
  void on_keepalive();
  void send(Peer& peer);
  void send(Peer& peer, core::LinkKind link);
  std::vector<std::uint8_t> seal(Peer& peer, core::LinkKind link);

  io::Loop& loop_;
  io::Log& log_;
  const std::string node_;
  const conf::HostPort listen_;
  core::Duration keepalive_;
  core::Duration warntime_;
  core::Duration deadtime_;
  io::Keys keys_;
  const Callbacks callbacks_;
  io::LogLimiter limiter_{std::chrono::seconds(10)};
  std::vector<std::unique_ptr<Peer>> peers_;  // those that have an agent
  Trouble unknown_;                           // an agent that no backend has
  std::array<std::array<std::uint64_t, core::frame_refusals>, core::link_kinds> unknown_frames_{};
  io::UdpPort udp_;
  io::Timer timer_;
  Given given_;
  bool stopped_ = false;
  bool suspended_ = false;
};

// The keys of the file, ready for use; what is weak about them is logged. Error: all that is wrong with it.
std::expected<std::unique_ptr<io::AuthKeyring>, std::string> load_keys(const std::string& path, io::Log& log);

}  // namespace pointsman::proxy
