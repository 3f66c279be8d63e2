#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "health/mysql/commander.h"
#include "health/mysql/prober.h"

namespace pointsman::mysql {

using namespace std::chrono_literals;

// Generous: what is expected comes in milliseconds on an idle machine.
inline constexpr std::chrono::seconds patience{30};

std::string show(const core::Failure& failure);

// A prober and all that it said, for a test's thread to wait on.
class ProbeWatch {
 public:
  using Outcome = std::expected<core::ServerReport, core::Failure>;
  using Wanted = std::function<bool(const Outcome&)>;

  ProbeWatch(const conf::HostPort& address, const conf::Account& account, core::Duration interval = 50ms,
             core::Duration timeout = 500ms);

  // The first result after the last one returned that is wanted; nullopt when none came.
  std::optional<Outcome> next(const Wanted& wanted);
  std::optional<Outcome> next() {
    return next([](const Outcome&) { return true; });
  }
  std::optional<core::ServerReport> next_report();
  // The kinds of all failures since the last result returned, up to the first of kind `last`; empty when that
  // did not come.
  std::vector<core::FailureKind> failures_until(core::FailureKind last);
  std::optional<core::Failure> next_failure();

  Prober& prober() { return *prober_; }
  // How long the destructor took.
  std::chrono::milliseconds stop();

 private:
  std::optional<Outcome> pop();

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Outcome> results_;
  std::unique_ptr<Prober> prober_;
};

// A commander whose commands return their results.
class Commands {
 public:
  explicit Commands(Commander::Options options);

  core::CommandResult operator()(core::Command command);
  // Without waiting, and the wait.
  core::CommandId submit(core::Command command);
  std::optional<core::CommandResult> result_of(core::CommandId id);
  bool is_answered(core::CommandId id);

  Commander& commander() { return *commander_; }
  std::vector<std::string> warnings();
  std::chrono::milliseconds stop();

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::map<core::CommandId, core::CommandResult> results_;
  std::vector<std::string> warnings_;
  std::uint64_t last_id_ = 0;
  std::unique_ptr<Commander> commander_;
};

}  // namespace pointsman::mysql
