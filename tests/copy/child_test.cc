#include "health/copy/child.h"

#include <array>
#include <chrono>
#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace pointsman::copy {
namespace {

using namespace std::chrono_literals;

std::string all_of(Child& child) {
  std::string text;
  std::array<char, 256> buffer{};
  while (true) {
    pollfd ready{child.data.get(), POLLIN, 0};
    if (::poll(&ready, 1, 10'000) <= 0) return text + " (nothing more within 10 s)";
    const ssize_t n = ::recv(child.data.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

TEST(Child, ReadsItsInputAndSaysHowItEnded) {
  Child good;
  ASSERT_TRUE(good.start({.argv = {"cat"}, .data = Child::Data::child_writes, .input = "some words"}));
  EXPECT_EQ(all_of(good), "some words");
  EXPECT_EQ(good.wait(), "");
  Child bad;
  ASSERT_TRUE(bad.start({.argv = {"sh", "-c", "echo what a pity >&2; exit 3"}}));
  EXPECT_EQ(bad.wait(), "sh failed with status 3: what a pity");
  Child none;
  EXPECT_FALSE(none.start({.argv = {"there-is-no-such-program"}}));
}

TEST(Child, GetsItsDescriptorsWhereverOursAre) {
  // Both places are taken by each other.
  const int text = ::memfd_create("text", 0);
  const int lock = ::memfd_create("lock", 0);
  ASSERT_EQ(::write(text, "options", 7), 7);
  ASSERT_EQ(::write(lock, "lock", 4), 4);
  Child child;
  ASSERT_TRUE(child.start({.argv = {"sh", "-c", "cat /proc/self/fd/3 /proc/self/fd/4"},
                           .data = Child::Data::child_writes,
                           .options_fd = text,
                           .lock_fd = lock}));
  EXPECT_EQ(all_of(child), "optionslock");
  EXPECT_EQ(child.wait(), "");
  ::close(text);
  ::close(lock);
}

// A daemon that it leaves behind may go on complaining, and does not keep us from knowing that it has ended.
TEST(Child, MayLeaveADaemon) {
  Child child;
  ASSERT_TRUE(child.start(
      {.argv = {"sh", "-c", "(sleep 20; echo late >&2) & echo begun >&2; exit 1"}, .leaves_daemon = true}));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(child.wait(), "sh failed with status 1: begun");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

TEST(Child, EndsWithItsOwner) {
  const auto begun = std::chrono::steady_clock::now();
  {
    Child child;
    ASSERT_TRUE(child.start({.argv = {"sleep", "60"}}));
    EXPECT_FALSE(child.ended());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

}  // namespace
}  // namespace pointsman::copy
