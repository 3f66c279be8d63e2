#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <string>

#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/session.h"

namespace pointsman::mysql {

// What a promotion leaves for the moment after its answer, because no client should wait for it: forgetting
// the old source where that is slow (MySQL). Owned by the commander and used by its thread, between commands.
class AfterPromotion {
 public:
  using Warn = std::function<void(const std::string&)>;

  explicit AfterPromotion(Warn warn) : warn_(std::move(warn)) {}

  void begin();
  void cancel() { *this = AfterPromotion(std::move(warn_)); }

  bool pending() const { return pending_; }
  core::Instant due() const { return due_; }

  // Does what can be done now; what cannot is due again a second later, at most max_attempts times.
  void work(Session& session);

  static constexpr std::size_t max_attempts = 600;

 private:
  std::expected<void, core::Failure> forget(Session& session);

  Warn warn_;
  bool pending_ = false;
  std::size_t attempts_ = 0;
  core::Instant due_{};
};

}  // namespace pointsman::mysql
