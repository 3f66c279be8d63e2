#include "health/io/timer.h"

#include <memory>

#include <gtest/gtest.h>

#include "health/io/clock.h"

namespace pointsman::io {
namespace {

using namespace std::chrono_literals;

// Durations that are no whole milliseconds, started at many phases of the millisecond: none fires early.
TEST(Timer, NeverEarly) {
  Loop loop;
  int rounds = 0;
  core::Instant started;
  constexpr core::Duration delay = 1300us;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    EXPECT_GE(now() - started, delay);
    if (++rounds == 50) return;
    const auto busy_until = now() + 70us * (rounds % 15);
    while (now() < busy_until) {
    }
    started = now();
    timer->start_after(delay);
  });
  started = now();
  timer->start_after(delay);
  loop.run();
  EXPECT_EQ(rounds, 50);
}

// A periodic timer goes on until it is stopped in its own callback; a stopped one does not keep the loop
// alive.
TEST(Timer, RepeatsUntilStopped) {
  Loop loop;
  int fired = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    if (++fired == 3) timer->stop();
  });
  timer->start_every(1ms);
  EXPECT_TRUE(timer->active());
  loop.run();
  EXPECT_EQ(fired, 3);
  EXPECT_FALSE(timer->active());
}

// The callback destroys the timer that runs it.
TEST(Timer, MayBeDestroyedInItsCallback) {
  Loop loop;
  bool fired = false;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&, big = std::string(200, 'x')] {
    timer.reset();
    fired = big.size() == 200;  // the closure lives on
  });
  timer->start_after(0ms);
  loop.run();
  EXPECT_TRUE(fired);
}

// A negative or absurdly long duration neither overflows nor fires at once by mistake.
TEST(Timer, ExtremeDurations) {
  Loop loop;
  bool negative_fired = false;
  Timer forever(loop, [] { FAIL() << "fired"; });
  forever.start_after(core::Duration::max());
  Timer negative(loop, [&] {
    negative_fired = true;
    forever.stop();
  });
  negative.start_after(-5s);
  loop.run();
  EXPECT_TRUE(negative_fired);
}

}  // namespace
}  // namespace pointsman::io
