#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "conf/agent_config.h"
#include "health/agent/links.h"
#include "health/agent/process_watch.h"
#include "health/agent/role_file.h"
#include "health/core/agent_guard.h"
#include "health/io/background.h"
#include "health/io/keys.h"
#include "health/io/log.h"
#include "health/io/log_limiter.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/timer.h"
#include "health/mysql/commander.h"
#include "health/mysql/prober.h"

namespace pointsman::agent {

// The agent on a database host: tells the proxies how the local server is, and sees to it that the server
// accepts writes only under a lease. Drives core::AgentGuard, which decides; here it is only carried out.
//
// Everything runs on one loop; the prober and the commander have a thread each and answer through the
// mailbox. Owned by run_agent().
class Agent {
 public:
  // A frame has no room for everything each time: transactions go into each so manieth, and into all while a
  // fence is ordered.
  static constexpr unsigned gtids_every = 10;

  Agent(io::Loop& loop, io::Log& log, conf::AgentConfig config, std::unique_ptr<io::AuthKeyring> keys);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  std::expected<void, std::string> start();
  // Leaves the server as it is, and says what that means.
  void stop(const std::string& why);
  // Reads authkeys again; wrong ones change nothing.
  void reload_keys();

  // One line, for systemd.
  std::string summary() const;
  std::function<void()> on_summary;  // it changed

 private:
  using Order = core::AgentGuard::Order;
  struct Running {
    Order order{};
    core::Instant asked;
  };

  void on_word(const Links::Word& word);
  void on_process(bool started);
  void on_probe(mysql::ProbeResult result);
  void on_command(core::CommandId id, core::CommandResult result);
  void on_keepalive();

  // After every event: what is decided now is begun, kept, told and logged.
  void act();
  void carry_out(Order order, core::Instant now);
  void kill(core::Instant now);
  void keep_memory();
  bool lease_is_kept() const;
  core::AgentWord word_at(core::Instant now) const;
  void tell_changes(const core::AgentWord& word);
  void tell_mysqld(const core::AgentWord& word);
  void send(const core::AgentWord& word);

  io::Loop& loop_;
  io::Log& log_;
  const conf::AgentConfig config_;
  io::Keys keys_;
  const std::shared_ptr<const RoleFile> role_file_;  // shared with the thread that writes it
  io::Background background_;
  io::Mailbox mailbox_;
  io::LogLimiter limiter_{std::chrono::seconds(10)};

  core::AgentGuard guard_;
  core::GuardMemory kept_;  // in the file
  bool keeping_ = false;    // a newer one is being written
  core::AgentWord told_;    // without what changes all the time
  core::Epoch told_epoch_;
  core::GrantedRole told_role_ = core::GrantedRole::none;
  std::string told_summary_;
  std::string told_problem_;
  unsigned frames_ = 0;
  bool kill_running_ = false;
  std::optional<core::Instant> answered_at_;  // the server's last answer to a probe
  // It ended our connection, or takes none, and runs on, as one does that is being shut down.
  bool leaving_ = false;
  std::uint64_t last_command_ = 0;
  std::map<core::CommandId, Running> commands_;  // at most one of each order
  bool stopping_ = false;

  ProcessWatch watch_;
  Links links_;
  io::Timer keepalive_;
  io::Timer deadline_;
  // Last: their threads post into what is above.
  std::unique_ptr<mysql::Prober> prober_;
  std::unique_ptr<mysql::Commander> commander_;
};

}  // namespace pointsman::agent
