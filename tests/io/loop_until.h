#pragma once

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>
#include <uv.h>

#include "health/io/clock.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

// Running a loop until something has happened, and seeing whether it stays responsive meanwhile.
namespace pointsman::io {

// Runs the loop until done(); false, and a failed test, when that takes absurdly long.
inline bool run_until(Loop& loop, const std::function<bool()>& done) {
  using namespace std::chrono_literals;
  const auto deadline = now() + 30s;
  Timer tick(loop, [] {});  // done() may turn true without a callback of this loop
  tick.start_every(2ms);
  while (!done()) {
    if (now() > deadline) {
      ADD_FAILURE() << "it did not happen";
      return false;
    }
    uv_run(loop.raw(), UV_RUN_ONCE);
  }
  return true;
}

// A timer that should fire every 5 ms, and how late it was at worst.
class Pulse {
 public:
  explicit Pulse(Loop& loop) : timer_(loop, [this] { beat(); }) { start(); }

  int beats() const { return beats_; }
  core::Duration worst() const { return worst_; }

 private:
  static constexpr core::Duration period = std::chrono::milliseconds(5);
  void start() {
    due_ = now() + period;
    timer_.start_after(period);
  }
  void beat() {
    ++beats_;
    worst_ = std::max(worst_, now() - due_);
    start();
  }

  Timer timer_;
  core::Instant due_{};
  core::Duration worst_{};
  int beats_ = 0;
};

// Far above what a responsive loop shows on a busy machine (a few ms), far below one that drowns.
inline constexpr core::Duration responsive = std::chrono::milliseconds(300);

}  // namespace pointsman::io
