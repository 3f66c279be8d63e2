#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <string>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/session.h"

namespace pointsman::mysql {

// What a promotion leaves for the moment after its answer, because no client should wait for it:
//   * forgetting the old source where that is slow (MySQL);
//   * enabling the scheduled events that replication had disabled here. Each ALTER EVENT is a transaction of
//   its own, which under
//     semi-sync `required` waits for a replica, and at that moment there is none yet.
// Owned by the commander and used by its thread, between commands.
class AfterPromotion {
 public:
  using Warn = std::function<void(const std::string&)>;

  explicit AfterPromotion(Warn warn) : warn_(std::move(warn)) {}

  void begin(conf::SemiSync mode);
  void cancel() { *this = AfterPromotion(std::move(warn_)); }

  bool pending() const { return forget_ || events_; }
  core::Instant due() const { return due_; }

  // Does what can be done now; what cannot is due again a second later, at most max_attempts times.
  void work(Session& session);

  static constexpr std::size_t max_attempts = 600;

 private:
  std::expected<void, core::Failure> forget(Session& session);
  std::expected<void, core::Failure> enable_events(Session& session);

  Warn warn_;
  conf::SemiSync mode_ = conf::SemiSync::off;
  bool forget_ = false;
  bool events_ = false;
  std::size_t attempts_ = 0;
  core::Instant due_{};
};

}  // namespace pointsman::mysql
