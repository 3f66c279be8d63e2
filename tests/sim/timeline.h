#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "health/core/time.h"

namespace pointsman::sim {

// The virtual clock and what is still to happen. Nothing else moves the time, so that a run depends on
// nothing but what was put in. What is due at the same moment happens in the order in which it was put in.
class Timeline {
 public:
  core::Instant now() const { return now_; }

  void after(core::Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  void at(core::Instant when, std::function<void()> what) {
    due_.emplace(std::pair(std::max(when, now_), ++order_), std::move(what));
  }

  // Lets the next thing happen that is due at or before `limit`; false: there is none, and it is now `limit`.
  bool step(core::Instant limit) {
    if (due_.empty() || due_.begin()->first.first > limit) {
      now_ = std::max(now_, limit);
      return false;
    }
    auto next = due_.extract(due_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }

 private:
  core::Instant now_ = core::Instant() + std::chrono::hours(1);
  std::uint64_t order_ = 0;
  std::map<std::pair<core::Instant, std::uint64_t>, std::function<void()>> due_;
};

}  // namespace pointsman::sim
