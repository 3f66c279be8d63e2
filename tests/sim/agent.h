#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "health/core/agent_guard.h"
#include "health/core/cobs.h"
#include "health/core/link_session.h"
#include "tests/sim/host_clock.h"
#include "tests/sim/model_server.h"
#include "tests/sim/random.h"
#include "tests/sim/timeline.h"

namespace pointsman::sim {

// What an agent finds on its host, and how it reaches the proxy.
struct AgentHost {
  std::function<const ModelServer&()> server;
  std::function<core::ServerReport()> report;
  std::function<bool()> make_read_only;  // false: it cannot be done yet
  std::function<void()> kill;            // SIGKILL to mysqld
  std::function<void(core::LinkKind, std::vector<std::uint8_t>)> send;
  std::function<void(const std::string&)> tell;      // the story
  std::function<void(const std::string&)> violated;  // what must never happen has happened
};

struct AgentOptions {
  std::string name;
  std::string proxy = "proxy1";
  std::vector<core::LinkKind> links;
  core::Duration keepalive = std::chrono::milliseconds(100);
  core::Duration ping_timeout = std::chrono::milliseconds(500);
  core::Duration probe_time = std::chrono::milliseconds(1);
  core::Duration order_time = std::chrono::milliseconds(2);  // of a statement to the local server
  core::GuardSettings guard;
};

// The agent on one database host: the real guard and the real session, and around them what
// health/agent/agent.cc does, in virtual time. It lives in its host's time, which is not the proxy's.
class Agent {
 public:
  Agent(AgentOptions options, AgentHost host, Timeline& time, Random& random, const core::Keyring& keys);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // --- what happens to it
  void start();
  void kill();
  // It gets no processor, or is stopped: nothing of it runs.
  void stall(core::Duration how_long);
  // Its host is started again: another clock, and what it kept until the next boot is gone.
  void host_boots(const HostClock& clock);
  void hear(core::LinkKind link, std::span<const std::uint8_t> bytes);
  // Of the process that it watches.
  void process_starts();
  void process_dies();
  void process_is_gone();
  void server_thaws();

  // --- the truth about it, in the world's time
  bool runs() const { return guard_ != nullptr; }
  bool stalled() const { return time_.now() < stalled_until_; }
  // The server may accept writes, as far as it goes.
  bool may_write() const { return guard_ && guard_->may_write(local()); }
  bool keeps_lease() const { return may_write() && guard_->memory().lease > core::Duration::zero(); }
  // Somebody looks after the server since then; max(): nobody does.
  core::Instant guards_since() const;
  // When the right to write ended that it was last known to have; max(): it goes on.
  core::Instant right_ended() const;
  core::Epoch epoch() const { return guard_ ? guard_->epoch() : core::Epoch{}; }
  const core::AgentGuard* guard() const { return guard_.get(); }
  core::Instant local() const { return clock_.at(time_.now()); }

 private:
  using Order = core::AgentGuard::Order;
  enum class Process { unknown, absent, runs, dying, exited };
  struct Running {
    Order order;
    core::Instant asked;
    bool taken = false;  // given up, but the server has it in its socket
    std::uint64_t id = 0;
  };

  void after(core::Duration delay, std::function<void()> what);
  void obey(const core::LinkSession::Received& heard, core::LinkKind link);
  void act();
  void arm();
  void carry_out(Order order);
  void order_takes_effect(std::uint64_t id);
  void order_ends(std::uint64_t id, bool ok);
  void watch(Process process, bool started);
  void found(bool started);
  void probe();
  void probe_ends(std::uint64_t serial, std::optional<core::ServerReport> report);
  void keepalive();
  void send();
  void note_right();

  const AgentOptions options_;
  const AgentHost host_;
  Timeline& time_;
  Random& random_;
  const core::Keyring& keys_;
  HostClock clock_;

  // Outlives the process.
  core::GuardMemory memory_;
  std::uint64_t life_ = 0;
  core::Instant stalled_until_;
  core::Instant started_at_;
  core::Instant stall_ended_;
  core::Instant right_ended_;

  // The process.
  std::unique_ptr<core::AgentGuard> guard_;
  std::unique_ptr<core::LinkSession> session_;
  core::CobsDecoder line_;
  Process process_ = Process::unknown;
  core::Instant found_at_;
  core::AgentWord told_;
  core::Epoch told_epoch_;
  unsigned frames_ = 0;
  bool kill_running_ = false;
  std::vector<Running> orders_;
  std::uint64_t last_order_ = 0;
  std::uint64_t alarm_ = 0;
  bool probing_ = false;
  bool asked_in_vain_ = false;  // the probe that runs waits for a frozen server
  std::uint64_t probe_serial_ = 0;
  core::Instant probe_asked_;
};

}  // namespace pointsman::sim
