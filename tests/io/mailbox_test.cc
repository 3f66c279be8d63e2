#include "health/io/mailbox.h"

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::io {
namespace {

// Four threads post while the loop runs: every task runs on the loop's thread, each thread's in its order.
TEST(Mailbox, KeepsTheOrderOfEachPoster) {
  constexpr int posters = 4;
  constexpr int per_poster = 5000;
  Loop loop;
  auto mailbox = std::make_unique<Mailbox>(loop, 64);
  const auto loop_thread = std::this_thread::get_id();
  std::array<int, posters> next{};
  int total = 0;
  std::vector<std::thread> threads;
  threads.reserve(posters);
  for (int p = 0; p < posters; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < per_poster; ++i) {
        const auto task = [&, p, i] {
          EXPECT_EQ(std::this_thread::get_id(), loop_thread);
          EXPECT_EQ(next[static_cast<std::size_t>(p)]++, i);
          if (++total == posters * per_poster) loop.stop();
        };
        while (!mailbox->post(task)) std::this_thread::yield();  // full: the loop is on its way
      }
    });
  }
  loop.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(total, posters * per_poster);
}

// Nobody empties the box: it takes its limit and no more, and a closed one takes nothing.
TEST(Mailbox, IsBounded) {
  Loop loop;
  Mailbox mailbox(loop, 3);
  int ran = 0;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(mailbox.post([&] { ++ran; }));
  EXPECT_FALSE(mailbox.post([] { FAIL(); }));
  EXPECT_EQ(ran, 0);
  mailbox.close();
  EXPECT_FALSE(mailbox.post([] { FAIL(); }));
  loop.run();
  EXPECT_EQ(ran, 0);
}

// A task destroys the mailbox that runs it; the tasks behind it are dropped.
TEST(Mailbox, MayBeDestroyedByATask) {
  Loop loop;
  auto mailbox = std::make_unique<Mailbox>(loop);
  EXPECT_TRUE(mailbox->post([&] { mailbox.reset(); }));
  EXPECT_TRUE(mailbox->post([] { FAIL() << "ran after the end"; }));
  loop.run();
  EXPECT_EQ(mailbox, nullptr);
}

// A task posts to its own mailbox: it runs in a later round, not in an endless one.
TEST(Mailbox, TaskMayPost) {
  Loop loop;
  Mailbox mailbox(loop);
  int rounds = 0;
  std::function<void()> again = [&] {
    if (++rounds == 10) return mailbox.close();
    EXPECT_TRUE(mailbox.post(again));
  };
  EXPECT_TRUE(mailbox.post(again));
  loop.run();
  EXPECT_EQ(rounds, 10);
}

}  // namespace
}  // namespace pointsman::io
