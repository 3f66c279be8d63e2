#include "proxy/hold_queue.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "health/io/clock.h"

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

struct Client final : HoldQueue::Held {
  explicit Client(std::function<void(Client&, bool)> f) : on_end(std::move(f)) {}
  void on_release() override { on_end(*this, true); }
  void on_hold_timeout() override { on_end(*this, false); }
  std::function<void(Client&, bool)> on_end;  // true: released
};

class HoldQueueTest : public testing::Test {
 protected:
  HoldQueueTest() {
    shared_.limits.max_held = 100;
    shared_.limits.hold_timeout_ns = core::Duration(60s).count();
    queue_ = std::make_unique<HoldQueue>(loop_, shared_, counter_);
  }

  Shared shared_;
  Counter counter_;
  io::Loop loop_;
  std::unique_ptr<HoldQueue> queue_;
};

// Clients come, one comes back after a failed connect: released are the oldest first.
TEST_F(HoldQueueTest, OldestFirst) {
  std::vector<std::uint64_t> released;
  std::vector<std::unique_ptr<Client>> clients;
  for (const std::uint64_t id : {3u, 7u, 1u, 5u}) {
    clients.push_back(std::make_unique<Client>([&released, id](Client&, bool) { released.push_back(id); }));
    ASSERT_TRUE(queue_->add(id, io::now(), *clients.back()));
  }
  EXPECT_EQ(counter_.get(), 4u);
  EXPECT_FALSE(queue_->admits());
  queue_->remove(5);
  queue_->open();
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1, 3, 7}));
  EXPECT_TRUE(queue_->admits());
  EXPECT_EQ(counter_.get(), 0u);
  EXPECT_EQ(shared_.held, 0u);
}

// The limit is one for all workers' queues.
TEST_F(HoldQueueTest, LimitIsShared) {
  shared_.limits.max_held = 2;
  Counter other_counter;
  HoldQueue other(loop_, shared_, other_counter);
  Client a([](Client&, bool) {}), b([](Client&, bool) {}), c([](Client&, bool) {});
  EXPECT_TRUE(queue_->add(1, io::now(), a));
  EXPECT_TRUE(other.add(2, io::now(), b));
  EXPECT_FALSE(queue_->add(3, io::now(), c));
  EXPECT_FALSE(other.add(3, io::now(), c));
  other.remove(2);
  EXPECT_TRUE(queue_->add(3, io::now(), c));
}

// Nobody opens a route: each is told when its time, counted from its accept, is over, and not before.
TEST_F(HoldQueueTest, ExpiresByAge) {
  shared_.limits.hold_timeout_ns = core::Duration(30ms).count();
  const auto accepted = io::now();
  int expired = 0;
  Client early([&](Client&, bool released) {
    EXPECT_FALSE(released);
    EXPECT_GE(io::now(), accepted + 30ms);
    EXPECT_EQ(++expired, 1);
  });
  Client late([&](Client&, bool released) {
    EXPECT_FALSE(released);
    EXPECT_GE(io::now(), accepted + 40ms);
    EXPECT_EQ(++expired, 2);
    loop_.stop();
  });
  ASSERT_TRUE(queue_->add(2, accepted + 10ms, late));
  ASSERT_TRUE(queue_->add(1, accepted, early));  // comes back, and is the older one
  loop_.run();
  EXPECT_EQ(expired, 2);
}

// The timeout is shortened by a reload: those that wait already feel it.
TEST_F(HoldQueueTest, ReloadedTimeout) {
  bool expired = false;
  Client client([&](Client&, bool) {
    expired = true;
    loop_.stop();
  });
  ASSERT_TRUE(queue_->add(1, io::now(), client));
  shared_.limits.hold_timeout_ns = core::Duration(1ms).count();
  queue_->limits_changed();
  loop_.run();
  EXPECT_TRUE(expired);
}

// The backend refuses: clients come back, and each round of attempts waits longer, up to the longest; an
// answer and a new route forget that.
TEST_F(HoldQueueTest, BacksOffFromARefusingBackend) {
  shared_.releases.set_rate(0);
  std::vector<core::Instant> attempts;
  std::unique_ptr<Client> client;
  client = std::make_unique<Client>([&](Client& self, bool released) {
    ASSERT_TRUE(released);
    attempts.push_back(io::now());
    if (attempts.size() == 6) return loop_.stop();
    queue_->backend_failed(attempts.back());
    ASSERT_TRUE(queue_->add(1, attempts.front(), self));
    EXPECT_FALSE(queue_->admits());
  });
  ASSERT_TRUE(queue_->add(1, io::now(), *client));
  queue_->open();
  loop_.run();
  ASSERT_EQ(attempts.size(), 6u);
  EXPECT_GE(attempts[1] - attempts[0], 20ms);
  EXPECT_GE(attempts[2] - attempts[1], 40ms);
  EXPECT_GE(attempts[3] - attempts[2], 80ms);
  EXPECT_GE(attempts[4] - attempts[3], 160ms);
  EXPECT_GE(attempts[5] - attempts[4], 200ms);
  queue_->backend_answered();
  EXPECT_TRUE(queue_->admits());
  queue_->backend_failed(io::now());
  EXPECT_FALSE(queue_->admits());
  queue_->open();
  EXPECT_TRUE(queue_->admits());
}

// Forty connects began together and fail together: that is one failure, not forty.
TEST_F(HoldQueueTest, FailuresOfOneRoundCountOnce) {
  queue_->open();
  const auto began = io::now();
  for (int i = 0; i < 40; ++i) queue_->backend_failed(began);
  bool released = false;
  Client client([&](Client&, bool r) {
    released = r;
    EXPECT_LT(io::now() - began, 5s);
    loop_.stop();
  });
  ASSERT_TRUE(queue_->add(1, io::now(), client));
  loop_.run();
  EXPECT_TRUE(released);
}

// A hundred wait, two go at once and then one every 5 ms: none sooner, and all of them.
TEST_F(HoldQueueTest, KeepsTheRate) {
  shared_.releases.set_rate(200);
  std::vector<core::Instant> released;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint64_t id = 0; id < 40; ++id) {
    clients.push_back(std::make_unique<Client>([&](Client&, bool) {
      released.push_back(io::now());
      if (released.size() == 40) loop_.stop();
    }));
    ASSERT_TRUE(queue_->add(id, io::now(), *clients.back()));
  }
  const auto opened = io::now();
  queue_->open();
  EXPECT_EQ(released.size(), 11u);  // one, and what 50 ms give
  loop_.run();
  ASSERT_EQ(released.size(), 40u);
  for (std::size_t i = 11; i < 40; ++i) EXPECT_GE(released[i] - opened, 5ms * (static_cast<int>(i) - 10));
}

}  // namespace
}  // namespace pointsman::proxy
