#include "health/io/loop.h"

#include <memory>

#include <gtest/gtest.h>

#include "health/io/handle.h"
#include "health/io/timer.h"

namespace pointsman::io {
namespace {

struct Tracked {
  explicit Tracked(int& deleted) : count(deleted) {}
  ~Tracked() { ++count; }
  Tracked(const Tracked&) = delete;
  Tracked& operator=(const Tracked&) = delete;
  int& count;
};

// A loop that never ran, with nothing on it, closes cleanly.
TEST(Loop, ClosesWithoutRunning) {
  const Loop loop;
}

// An object ends inside a timer's callback: it is alive until the callback returns and gone before the loop
// blocks again, although nothing else happens for a long time.
TEST(Loop, DefersDeletionWithinTheIteration) {
  Loop loop;
  int deleted = 0;
  int seen_inside = -1;
  auto object = std::make_unique<Tracked>(deleted);
  Timer guard(loop, [&] { FAIL() << "the loop slept with garbage"; });
  guard.start_after(std::chrono::seconds(30));
  Timer poll(loop, [&] {
    if (deleted == 1) loop.stop();
  });
  Timer once(loop, [&] {
    loop.defer_delete(std::move(object));
    seen_inside = deleted;
    poll.start_every(std::chrono::milliseconds(1));
  });
  once.start_after(std::chrono::milliseconds(1));
  loop.run();
  EXPECT_EQ(seen_inside, 0);
  EXPECT_EQ(deleted, 1);
}

// A deferred object's destructor hands over another one: both go.
TEST(Loop, DeletionMayDeferMore) {
  struct Outer {
    Outer(Loop& l, int& c) : loop(l), count(c) {}
    ~Outer() { loop.defer_delete(std::make_unique<Tracked>(count)); }
    Outer(const Outer&) = delete;
    Outer& operator=(const Outer&) = delete;
    Loop& loop;
    int& count;
  };
  int deleted = 0;
  {
    Loop loop;
    loop.defer_delete(std::make_unique<Outer>(loop, deleted));
    loop.run();
    EXPECT_EQ(deleted, 1);
    loop.defer_delete(std::make_unique<Tracked>(deleted));
  }
  EXPECT_EQ(deleted, 2);  // the destructor collects what run() did not
}

// An owner that outlives its loop is a mistake that must be told, not a hang at shutdown.
TEST(LoopDeathTest, LeakedHandleIsReported) {
  EXPECT_DEATH(
      {
        auto loop = std::make_unique<Loop>();
        auto* leaked = new uv_timer_t;
        uv_timer_init(loop->raw(), leaked);
        loop.reset();
      },
      "a handle outlives its loop: timer");
}

// Initialising a handle fails: the error comes back and nothing is left behind.
TEST(Handle, FailedInitFreesAndReports) {
  const auto made = make_handle<uv_timer_t>(nullptr, [](uv_timer_t*) { return UV_EMFILE; });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), UV_EMFILE);
}

}  // namespace
}  // namespace pointsman::io
