#include "health/io/connect_check.h"

#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::io {
namespace {

using namespace std::chrono_literals;

// A TCP socket bound to a loopback port of the kernel's choice, listening or not.
class BoundSocket {
 public:
  explicit BoundSocket(int backlog)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)), address_(*Address::numeric({"127.0.0.1", 0})) {
    EXPECT_EQ(bind(fd_, address_.get(), address_.length), 0);
    EXPECT_EQ(getsockname(fd_, address_.get(), &address_.length), 0);
    if (backlog >= 0) {
      EXPECT_EQ(listen(fd_, backlog), 0);
    }
  }
  ~BoundSocket() { close(fd_); }
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;
  const Address& address() const { return address_; }

 private:
  int fd_;
  Address address_;
};

ConnectCheck::Result check(const Address& to, core::Duration timeout) {
  Loop loop;
  std::optional<ConnectCheck::Result> result;
  ConnectCheck check(loop, [&](const ConnectCheck::Result& r) { result = r; });
  check.start(to, timeout);
  EXPECT_TRUE(check.running() || !result);
  loop.run();
  EXPECT_TRUE(result);
  EXPECT_FALSE(check.running());
  return result.value_or(ConnectCheck::Result{});
}

// Somebody listens.
TEST(ConnectCheck, Accepted) {
  const BoundSocket server(8);
  EXPECT_EQ(check(server.address(), 5s).outcome, ConnectCheck::Outcome::accepted);
}

// The port is bound but nobody listens: the kernel refuses, long before the timeout.
TEST(ConnectCheck, Refused) {
  const BoundSocket server(-1);
  const auto result = check(server.address(), 60s);
  EXPECT_EQ(result.outcome, ConnectCheck::Outcome::refused) << result.text;
  EXPECT_LT(result.took, 30s);
}

// A listener whose backlog is full drops SYNs, like a host that is gone.
TEST(ConnectCheck, TimedOut) {
  const BoundSocket server(0);
  std::vector<int> fillers;
  for (int i = 0; i < 3; ++i) {
    fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(connect(fillers.back(), server.address().get(), server.address().length));
  }
  const auto result = check(server.address(), 20ms);
  EXPECT_EQ(result.outcome, ConnectCheck::Outcome::timed_out) << result.text;
  EXPECT_GE(result.took, 20ms);
  for (const int fd : fillers) close(fd);
}

// An address that no connect can go to is a failure with the system's words, not a refusal.
TEST(ConnectCheck, Failed) {
  const auto result = check(*Address::numeric({"255.255.255.255", 9}), 5s);
  EXPECT_EQ(result.outcome, ConnectCheck::Outcome::failed);
  EXPECT_FALSE(result.text.empty());
}

// Cancelled before the answer, and destroyed inside the callback.
TEST(ConnectCheck, MayGoAtAnyTime) {
  const BoundSocket server(8);
  Loop loop;
  int called = 0;
  std::unique_ptr<ConnectCheck> destroyed_inside;
  destroyed_inside = std::make_unique<ConnectCheck>(loop, [&](const ConnectCheck::Result&) {
    ++called;
    destroyed_inside.reset();
  });
  destroyed_inside->start(server.address(), 5s);
  auto cancelled = std::make_unique<ConnectCheck>(loop, [](const ConnectCheck::Result&) { FAIL(); });
  cancelled->start(server.address(), 5s);
  cancelled.reset();
  loop.run();
  EXPECT_EQ(called, 1);
}

}  // namespace
}  // namespace pointsman::io
