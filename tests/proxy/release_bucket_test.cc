#include "proxy/release_bucket.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

constexpr core::Instant start{std::chrono::hours(1)};

unsigned take_all(ReleaseBucket& bucket, core::Instant now) {
  unsigned taken = 0;
  while (!bucket.take(now)) ++taken;
  return taken;
}

// After a quiet time the first ones go at once, then the rate holds over any length of time.
TEST(ReleaseBucket, BurstThenRate) {
  ReleaseBucket bucket;
  bucket.set_rate(500);
  const unsigned first = take_all(bucket, start);
  EXPECT_EQ(first, 26u);  // one, and what 50 ms give
  unsigned later = 0;
  for (auto t = 1ms; t <= 2000ms; t += 1ms) later += take_all(bucket, start + t);
  EXPECT_EQ(later, 1000u);
}

// A caller that was told to wait and comes back late gets what it missed, as far as the burst goes.
TEST(ReleaseBucket, WaitIsExactAndLatenessIsForgiven) {
  ReleaseBucket bucket;
  bucket.set_rate(100);
  take_all(bucket, start);
  const auto wait = bucket.take(start);
  ASSERT_TRUE(wait);
  EXPECT_TRUE(bucket.take(start + *wait - 1ns));
  EXPECT_FALSE(bucket.take(start + *wait));
  EXPECT_EQ(take_all(bucket, start + *wait + 35ms), 3u);
  EXPECT_EQ(take_all(bucket, start + 1h), 6u);
}

TEST(ReleaseBucket, ZeroIsNoLimit) {
  ReleaseBucket bucket;
  bucket.set_rate(0);
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(bucket.take(start));
}

// Several workers ask at the same moment: together they get what one would get.
TEST(ReleaseBucket, SharedByThreads) {
  ReleaseBucket bucket;
  bucket.set_rate(1000);
  std::atomic<unsigned> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { taken += take_all(bucket, start); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, 51u);
}

}  // namespace
}  // namespace pointsman::proxy
