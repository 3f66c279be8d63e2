#include "health/io/background.h"

#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace pointsman::io {
namespace {

// Work runs off the loop's thread, what follows on it.
TEST(Background, WorksOffTheLoop) {
  Loop loop;
  Background background(loop);
  const auto loop_thread = std::this_thread::get_id();
  std::thread::id worked_on;
  bool done = false;
  ASSERT_TRUE(background.submit([&] { worked_on = std::this_thread::get_id(); },
                                [&] { done = std::this_thread::get_id() == loop_thread; }));
  EXPECT_EQ(background.pending(), 1u);
  loop.run();
  EXPECT_TRUE(done);
  EXPECT_NE(worked_on, loop_thread);
  EXPECT_EQ(background.pending(), 0u);
}

// The owner goes while one piece runs and more wait than the pool has threads: the running one ends,
// nobody is called back, the loop closes.
TEST(Background, OwnerMayGoWhileWorkIsPending) {
  auto began = std::make_shared<std::promise<void>>();
  std::promise<void> release;
  const auto may_end = release.get_future().share();
  {
    Loop loop;
    auto background = std::make_unique<Background>(loop);
    ASSERT_TRUE(background->submit(
        [began, may_end] {
          began->set_value();
          may_end.wait();
        },
        [] { FAIL(); }));
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(background->submit([may_end] { may_end.wait(); }, [] { FAIL(); }));
    began->get_future().wait();
    background.reset();
    release.set_value();
  }
}

// Full: the next piece is refused and not kept.
TEST(Background, IsBounded) {
  Loop loop;
  Background background(loop, 2);
  std::atomic<int> worked = 0;
  int done = 0;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(background.submit([&] { ++worked; }, [&] { ++done; }));
  EXPECT_FALSE(background.submit([] { FAIL(); }, [] { FAIL(); }));
  loop.run();
  EXPECT_EQ(worked, 2);
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace pointsman::io
