#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/signal.h"
#include "health/io/timer.h"
#include "proxy/channel.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// What is left of a daemon whose place another one has taken: its workers with their sessions. It decides
// nothing. The new process tells it each route, so that a session never stays on a server that is no longer
// the primary, and is told when the workers have acted on it; what `Draining` reports back is evidence and
// what `status` shows. It ends with its last session, when drain_timeout is over, or, its sessions with it,
// when the new process has ended: nobody would tell it of a failover any more.
//
// The process's main thread.
class Draining {
 public:
  static constexpr core::Duration report_period = std::chrono::milliseconds(100);

  struct Left {
    std::shared_ptr<io::Log> log;
    std::shared_ptr<Workers> workers;
    Channel channel;
    std::vector<std::string> identities;  // of the backends, index == BackendId
    core::Duration drain_timeout{};
  };

  explicit Draining(Left left);
  Draining(const Draining&) = delete;
  Draining& operator=(const Draining&) = delete;

  int run();

 private:
  void on_message();
  void on_route(const nlohmann::json& message);
  void report();
  void say(nlohmann::json message);
  void end(const std::string& why, bool by_timeout = false);
  std::optional<core::BackendId> id_of(const std::string& identity);

  Left left_;
  io::Loop loop_;
  io::Mailbox mailbox_;
  std::deque<nlohmann::json> unsent_;  // answers; few, for who does not read them kills us
  nlohmann::json reported_;
  core::Instant until_;
  bool ended_ = false;
  Watch watch_;
  io::Timer timer_;
  io::Signal terminate_;
  io::Signal interrupt_;
  io::Signal hangup_;
  io::Signal upgrade_;
};

}  // namespace pointsman::proxy
