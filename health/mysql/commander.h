#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "conf/config.h"
#include "health/core/command.h"
#include "health/core/ids.h"
#include "health/core/time.h"

namespace pointsman::mysql {

// One thread that carries out commands on one server, in the order given, over a connection that is kept open
// and checked while idle, so that a failover never waits for a connect. Separate from the prober: a hung
// probe never delays a fence.
class Commander {
 public:
  struct Options {
    conf::HostPort address;
    conf::Account monitor;
    conf::Account replication;  // what Follow puts into CHANGE REPLICATION SOURCE
    core::Duration connect_timeout{};
    // How often a replica asks its silent source for a sign of life; set by Follow.
    core::Duration replication_heartbeat = std::chrono::milliseconds(500);
  };
  // Called on the command thread; must not block.
  using Done = std::function<void(core::CommandId, core::CommandResult)>;
  // What went wrong outside of any command, for the log (see AfterPromotion). Called on the command thread;
  // must not block.
  using Warn = std::function<void(const std::string& text)>;

  Commander(Options options, Done done, Warn warn = {});
  // The running command may come to its end for finish_time: half of a Follow would leave a replica that does
  // not replicate as long as nobody is there to go on. Then aborts, joins; no call of `done` after it.
  ~Commander();
  Commander(const Commander&) = delete;
  Commander& operator=(const Commander&) = delete;

  // Any thread. At most max_queued wait; a further one fails at once, on the calling thread.
  void submit(core::CommandId id, core::Command command);
  // Any thread. Frees a stuck call by shutting down its socket; the running and the queued commands fail with
  // kind timeout.
  void abort();

  static constexpr std::size_t max_queued = 32;
  static constexpr std::chrono::milliseconds finish_time{1000};

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pointsman::mysql
