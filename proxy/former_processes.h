#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/core/time.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/channel.h"
#include "proxy/route.h"
#include "proxy/takeover.h"

namespace pointsman::proxy {

// The processes whose place was taken and that still serve sessions, each by its channel. They are told every
// route, as our own workers are, and a route is applied when all of them have acted on it too. One that does
// not obey in time is killed: its sessions end with it, and none of them reaches a former primary.
//
//   Control: route ---> our workers
//                 \---> former process: Draining -> its workers -> applied     (one channel each, no chain)
//
// The next process that takes over gets the channels, and those at their other ends notice nothing.
// Control loop's thread; owned by the daemon.
class FormerProcesses {
 public:
  static constexpr std::size_t limit = 32;
  static constexpr core::Duration obey_within = std::chrono::seconds(2);

  struct Report {
    pid_t pid = 0;
    core::Instant since{};  // when its place was taken
    std::uint64_t sessions = 0;
    std::uint64_t held = 0;
  };

  FormerProcesses(io::Loop& loop, io::Log& log) : loop_(loop), log_(log) {}
  FormerProcesses(const FormerProcesses&) = delete;
  FormerProcesses& operator=(const FormerProcesses&) = delete;

  // `began`: has it been told what to do; called once, when it first speaks.
  void add(FormerChannel former, std::function<void()> on_first_word = nullptr);
  // `acted` is released when each has acted on it, or has ended.
  void set_route(const Route& route, const std::vector<std::string>& identities,
                 const std::shared_ptr<void>& acted);

  // Lets go of all of them: each ends its sessions, unless another process has its channel.
  void drop_all() { formers_.clear(); }

  // When a session there last got bytes from this backend, an identity; Instant::min() when never.
  core::Instant last_traffic(const std::string& identity) const;
  std::vector<Report> reports() const;
  std::uint64_t sessions() const;  // held ones included
  // Sessions that were ended as drain_timeout was over, of all that have gone.
  std::uint64_t ended_by_timeout() const { return ended_by_timeout_; }
  bool full() const { return formers_.size() >= limit; }

  // For the process that takes our place: what each is, and its channel.
  struct Handed {
    nlohmann::json list = nlohmann::json::array();
    std::vector<int> files;
  };
  Handed handed() const;

 private:
  struct Former {
    ProcessHandle process;
    Report report;
    Channel channel;
    std::function<void()> on_first_word;
    std::map<std::string, core::Instant> traffic{};
    std::map<std::uint64_t, std::shared_ptr<void>> unanswered{};  // by token
    std::unique_ptr<io::Timer> obeys{};                           // runs while there are any
    std::unique_ptr<Watch> watch{};
  };

  void on_message(Former& former);
  void take(Former& former, const nlohmann::json& said);
  void gone(Former& former, const std::string& why);
  void disobeyed(const Former& former, const std::string& why);

  io::Loop& loop_;
  io::Log& log_;
  std::vector<std::unique_ptr<Former>> formers_;
  std::uint64_t last_token_ = 0;
  std::uint64_t ended_by_timeout_ = 0;
};

}  // namespace pointsman::proxy
