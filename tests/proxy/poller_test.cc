#include "proxy/poller.h"

#include <chrono>
#include <functional>
#include <vector>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "health/io/timer.h"

namespace pointsman::proxy {
namespace {

// An eventfd that is readable at once, and what to do when that is told.
class Ready final : public Poller::Watched {
 public:
  Ready(Poller& poller, std::function<void(std::uint32_t)> act)
      : poller_(poller), fd_(eventfd(1, EFD_CLOEXEC)), act_(std::move(act)) {
    EXPECT_EQ(poller_.watch(fd_, EPOLLIN | EPOLLET, *this), 0);
  }
  ~Ready() override {
    forget();
    close(fd_);
  }
  void forget() { poller_.forget(fd_, *this); }

 private:
  void on_ready(std::uint32_t events) override { act_(events); }

  Poller& poller_;
  int fd_;
  std::function<void(std::uint32_t)> act_;
};

class PollerTest : public testing::Test {
 protected:
  PollerTest() : poller_(*Poller::create(loop_)) {}
  // A timer of the loop ends the run, so that each test shows as well that the loop is not starved.
  void run() {
    io::Timer end(loop_, [this] { poller_->stop(); });
    end.start_after(std::chrono::milliseconds(20));
    poller_->run();
  }

  io::Loop loop_;
  std::unique_ptr<Poller> poller_;
};

// Edge-triggered: told once, though nobody reads. The thread sleeps meanwhile instead of turning.
TEST_F(PollerTest, TellsOnceAndSleeps) {
  std::vector<std::uint32_t> told;
  Ready ready(*poller_, [&](std::uint32_t events) { told.push_back(events); });
  run();
  EXPECT_EQ(told, std::vector<std::uint32_t>{EPOLLIN});
  EXPECT_LT(poller_->turn(), 10u);
}

// Who asks comes again in the next turn, and once however often it asks; others come before.
TEST_F(PollerTest, Again) {
  std::vector<std::uint64_t> turns;
  Ready* self = nullptr;
  Ready ready(*poller_, [&](std::uint32_t) {
    turns.push_back(poller_->turn());
    if (turns.size() < 3) {
      poller_->again(*self);
      poller_->again(*self);
    }
  });
  self = &ready;
  run();
  EXPECT_EQ(turns, (std::vector<std::uint64_t>{turns[0], turns[0], turns[0] + 1}));
}

// One that is forgotten by another of the same turn is not called any more, and may be deleted.
TEST_F(PollerTest, ForgottenMeanwhile) {
  unsigned first_calls = 0;
  unsigned second_calls = 0;
  std::unique_ptr<Ready> second;
  Ready* self = nullptr;
  Ready first(*poller_, [&](std::uint32_t events) {
    ++first_calls;
    if (events != 0) return poller_->again(*self);
    second.reset();
  });
  self = &first;
  second = std::make_unique<Ready>(*poller_, [&](std::uint32_t) {
    ++second_calls;
    poller_->again(*second);
  });
  run();
  EXPECT_EQ(first_calls, 2u);
  EXPECT_EQ(second_calls, 1u);
}

}  // namespace
}  // namespace pointsman::proxy
