#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "conf/config.h"
#include "health/core/event.h"
#include "health/io/connect_check.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/resolve.h"
#include "health/io/timer.h"
#include "health/mysql/commander.h"
#include "health/mysql/prober.h"

namespace pointsman::proxy {

// All that reaches out to one backend from the control loop: its probe thread, its command thread, TCP
// connects that confirm a crash, and its resolved address. What they find comes to the control loop's thread
// as events of the core.
class BackendMonitor {
 public:
  using Sink = std::function<void(core::Event)>;  // on the loop's thread

  BackendMonitor(io::Loop& loop, io::Mailbox& mailbox, core::BackendId id, const conf::Config& config,
                 Sink sink, std::function<void()> on_address);
  BackendMonitor(const BackendMonitor&) = delete;
  BackendMonitor& operator=(const BackendMonitor&) = delete;

  void probe_now() { prober_->probe_now(); }
  void command(core::CommandId id, core::Command command);
  void abort_commands() { commander_->abort(); }
  void check_reconnect(unsigned attempts);
  // Accounts or times changed: the threads are made anew.
  void reconfigure(const conf::Config& config);

  // nullopt while its name cannot be resolved.
  const std::optional<io::Address>& address() const { return address_; }

 private:
  void make_threads(const conf::Config& config);
  void resolve();
  void on_connect(const io::ConnectCheck::Result& result);

  io::Mailbox& mailbox_;
  const core::BackendId id_;
  conf::HostPort where_;
  Sink sink_;
  std::function<void()> on_address_;
  std::unique_ptr<mysql::Prober> prober_;
  std::unique_ptr<mysql::Commander> commander_;

  std::optional<io::Address> address_;
  io::Resolver resolver_;
  io::Timer resolve_again_;

  io::ConnectCheck check_;
  core::Duration connect_timeout_{};
  unsigned attempts_left_ = 0;
  unsigned refused_in_row_ = 0;
};

}  // namespace pointsman::proxy
