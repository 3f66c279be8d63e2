#include "health/io/udp_port.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/loop_until.h"

namespace pointsman::io {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::uint8_t>;

const Address loopback = *Address::numeric({"127.0.0.1", 0});

struct Seen {
  std::vector<std::pair<std::string, Bytes>> datagrams;  // from, content
  std::vector<std::pair<std::string, std::string>> errors;

  UdpPort::Callbacks callbacks() {
    return {.on_datagram =
                [this](const Address& from, std::span<const std::uint8_t> frame) {
                  datagrams.emplace_back(from.to_string(), Bytes(frame.begin(), frame.end()));
                },
            .on_error = [this](const Address& to,
                               const std::string& text) { errors.emplace_back(to.to_string(), text); }};
  }
};

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// A plain socket for what the port itself would never send.
class Sender {
 public:
  explicit Sender(int family = AF_INET) : fd_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~Sender() { close(fd_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  void send(const Address& to, const Bytes& content) const {
    ASSERT_EQ(sendto(fd_, content.data(), content.size(), 0, to.get(), to.length),
              static_cast<ssize_t>(content.size()));
  }

 private:
  int fd_;
};

// An address of the loopback where nobody listens.
Address nobody() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  Address address = loopback;
  EXPECT_EQ(bind(fd, address.get(), address.length), 0);
  EXPECT_EQ(getsockname(fd, address.get(), &address.length), 0);
  close(fd);
  return address;
}

// Nobody reads while a flood comes: what the kernel throws away is counted, and only that.
TEST(UdpPort, CountsWhatTheKernelDrops) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  EXPECT_EQ(port.receive_drops(), 0U) << "not bound yet";
  ASSERT_TRUE(port.bind(loopback));
  const Sender sender;
  sender.send(port.local(), bytes_of("one"));
  EXPECT_EQ(port.receive_drops(), 0U);
  // Far more than any receive buffer holds.
  for (int i = 0; i < 100'000 && port.receive_drops() == 0; ++i)
    sender.send(port.local(), Bytes(core::max_frame, 1));
  EXPECT_GT(port.receive_drops(), 0U);
}

// Two ports talk; each sees the other's address as the sender.
TEST(UdpPort, CarriesDatagramsBothWays) {
  Loop loop;
  Seen left_seen;
  Seen right_seen;
  UdpPort left(loop, left_seen.callbacks());
  UdpPort right(loop, right_seen.callbacks());
  ASSERT_TRUE(left.bind(loopback));
  ASSERT_TRUE(right.bind(loopback));
  EXPECT_TRUE(left.send(right.local(), bytes_of("ping")));
  EXPECT_TRUE(right.send(left.local(), bytes_of("pong")));
  run_until(loop, [&] { return !left_seen.datagrams.empty() && !right_seen.datagrams.empty(); });
  EXPECT_EQ(right_seen.datagrams.at(0), std::pair(left.local().to_string(), bytes_of("ping")));
  EXPECT_EQ(left_seen.datagrams.at(0), std::pair(right.local().to_string(), bytes_of("pong")));
  EXPECT_EQ(left.stats().frames_out, 1U);
  EXPECT_EQ(left.stats().bytes_out, 4U);
  EXPECT_EQ(left.stats().frames_in, 1U);
  EXPECT_EQ(left.stats().bytes_in, 4U);
}

// Datagrams of every size that matters: what is longer than a frame is counted and goes no further.
TEST(UdpPort, DropsWhatIsLongerThanAFrame) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  ASSERT_TRUE(port.bind(loopback));
  const Sender sender;
  for (const std::size_t size : {0U, 160U, 161U, 65000U, 1U}) sender.send(port.local(), Bytes(size, 'x'));
  run_until(loop, [&] { return seen.datagrams.size() == 3; });
  EXPECT_EQ(seen.datagrams.at(0).second.size(), 0U);
  EXPECT_EQ(seen.datagrams.at(1).second, Bytes(160, 'x'));
  EXPECT_EQ(seen.datagrams.at(2).second.size(), 1U);
  EXPECT_EQ(port.stats().oversized, 2U);
  EXPECT_EQ(port.stats().frames_in, 3U);
  EXPECT_EQ(port.stats().bytes_in, 0U + 160 + 161 + 65000 + 1);
}

TEST(UdpPort, SpeaksIpv6) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  if (!port.bind(*Address::numeric({"::1", 0}))) GTEST_SKIP() << "no IPv6 here";
  Seen other_seen;
  UdpPort other(loop, other_seen.callbacks());
  ASSERT_TRUE(other.bind(*Address::numeric({"::1", 0})));
  EXPECT_TRUE(other.send(port.local(), bytes_of("six")));
  run_until(loop, [&] { return !seen.datagrams.empty(); });
  EXPECT_EQ(seen.datagrams.at(0), std::pair(other.local().to_string(), bytes_of("six")));
}

// Bound to "::", it talks to an IPv4 peer under that peer's IPv4 address, errors included.
TEST(UdpPort, SpeaksIpv4OnAnIpv6Wildcard) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  if (!port.bind(*Address::numeric({"::", 0}))) GTEST_SKIP() << "no IPv6 here";
  Seen four_seen;
  UdpPort four(loop, four_seen.callbacks());
  ASSERT_TRUE(four.bind(loopback));
  Address to = loopback;
  to.set_port(port.local().port());
  EXPECT_TRUE(four.send(to, bytes_of("hello")));
  run_until(loop, [&] { return !seen.datagrams.empty(); });
  EXPECT_EQ(seen.datagrams.at(0).first, four.local().to_string());
  EXPECT_TRUE(port.send(four.local(), bytes_of("back")));
  run_until(loop, [&] { return !four_seen.datagrams.empty(); });
  EXPECT_EQ(four_seen.datagrams.at(0), std::pair(to.to_string(), bytes_of("back")));

  const Address gone = nobody();
  EXPECT_TRUE(port.send(gone, bytes_of("anybody?")));
  run_until(loop, [&] { return !seen.errors.empty(); });
  EXPECT_EQ(seen.errors.at(0), std::pair(gone.to_string(), std::string("Connection refused")));
}

// Nobody listens there: the port says who refused, and goes on receiving.
TEST(UdpPort, SaysWhoRefused) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  ASSERT_TRUE(port.bind(loopback));
  const Address gone = nobody();
  const auto before = now();
  EXPECT_TRUE(port.send(gone, bytes_of("anybody?")));
  run_until(loop, [&] { return !seen.errors.empty(); });
  EXPECT_EQ(seen.errors.at(0), std::pair(gone.to_string(), std::string("Connection refused")));
  EXPECT_EQ(port.stats().last_error, gone.to_string() + ": Connection refused");
  EXPECT_GE(port.stats().last_error_at, before);
  const Sender sender;
  sender.send(port.local(), bytes_of("still there"));
  run_until(loop, [&] { return !seen.datagrams.empty(); });
}

// One peer is dead, one alive, and each gets every frame: the refusal of the one must not be taken for a
// failure to send to the other, which is what sendto() says.
TEST(UdpPort, DeadPeerCostsTheLivingOneNothing) {
  Loop loop;
  Seen seen;
  Seen peer_seen;
  UdpPort port(loop, seen.callbacks());
  UdpPort peer(loop, peer_seen.callbacks());
  ASSERT_TRUE(port.bind(loopback));
  ASSERT_TRUE(peer.bind(loopback));
  const Address gone = nobody();
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(port.send(gone, bytes_of("x")));
    EXPECT_TRUE(port.send(peer.local(), bytes_of("y")));
  }
  run_until(loop, [&] { return peer_seen.datagrams.size() == 50; });
  EXPECT_EQ(port.stats().frames_out, 100U);
  EXPECT_EQ(port.stats().dropped_late, 0U);
}

TEST(UdpPort, SaysWhyItCannotBindOrSend) {
  Loop loop;
  Seen seen;
  UdpPort first(loop, seen.callbacks());
  EXPECT_FALSE(first.send(nobody(), bytes_of("x")));
  EXPECT_TRUE(first.stats().last_error.ends_with("not bound"));
  ASSERT_TRUE(first.bind(loopback));
  UdpPort second(loop, seen.callbacks());
  const auto taken = second.bind(first.local());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), "udp " + first.local().to_string() + ": Address already in use");
  EXPECT_FALSE(second.bind(*Address::numeric({"192.0.2.1", 0})));
  EXPECT_TRUE(second.bind(loopback));  // after a failure it can be bound elsewhere
  EXPECT_FALSE(second.bind(loopback));

  EXPECT_FALSE(first.send(*Address::numeric({"::1", 9}), bytes_of("x")));
  EXPECT_TRUE(first.stats().last_error.contains("[::1]:9: an IPv6 address cannot be reached"));
  EXPECT_FALSE(first.send(*Address::numeric({"255.255.255.255", 9}), bytes_of("x")));
  EXPECT_EQ(first.stats().dropped_late, 3U);
}

// Hundreds of datagrams wait: one iteration of the loop takes its share and comes back for more.
TEST(UdpPort, TakesABoundedNumberInOneIteration) {
  Loop loop;
  Seen seen;
  UdpPort port(loop, seen.callbacks());
  ASSERT_TRUE(port.bind(loopback));
  const Sender sender;
  for (int i = 0; i < 200; ++i) sender.send(port.local(), {1});
  uv_run(loop.raw(), UV_RUN_ONCE);
  EXPECT_EQ(seen.datagrams.size(), UdpPort::max_batch);
  run_until(loop, [&] { return seen.datagrams.size() == 200; });
}

// Somebody floods the port from two threads, as fast as the machine can, with frames and with what is too
// long. A timer of the same loop goes on firing.
TEST(UdpPort, LoopStaysResponsiveInAFlood) {
  Loop loop;
  std::uint64_t received = 0;
  UdpPort port(loop, {.on_datagram = [&](const Address&, std::span<const std::uint8_t>) { ++received; },
                      .on_error = {}});
  ASSERT_TRUE(port.bind(loopback));
  std::atomic<bool> stop = false;
  std::vector<std::jthread> flooders;
  for (const std::size_t size : {160U, 1400U}) {
    flooders.emplace_back([&stop, size, to = port.local()] {
      const Sender sender;
      const Bytes content(size, 'f');
      while (!stop) sender.send(to, content);
    });
  }
  Pulse pulse(loop);
  run_until(loop, [&] { return pulse.beats() == 100; });
  stop = true;
  EXPECT_LT(pulse.worst(), responsive);
  EXPECT_GT(received, 1000U);
  EXPECT_GT(port.stats().oversized, 1000U);
  RecordProperty("worst_delay_us", std::to_string(pulse.worst().count() / 1000));
  RecordProperty("received", std::to_string(received));
}

// Destroyed in each of its callbacks, in the middle of a batch.
TEST(UdpPort, MayBeDestroyedInItsCallbacks) {
  Loop loop;
  int called = 0;
  std::unique_ptr<UdpPort> port;
  const auto destroy = [&, big = std::string(200, 'x')] {
    ++called;
    port.reset();
    EXPECT_EQ(big.size(), 200U);  // the closure lives on
  };
  const UdpPort::Callbacks callbacks{
      .on_datagram = [destroy](const Address&, std::span<const std::uint8_t>) { destroy(); },
      .on_error = [destroy](const Address&, const std::string&) { destroy(); }};
  port = std::make_unique<UdpPort>(loop, callbacks);
  ASSERT_TRUE(port->bind(loopback));
  const Sender sender;
  for (int i = 0; i < 3; ++i) sender.send(port->local(), {1});
  run_until(loop, [&] { return called == 1; });
  port = std::make_unique<UdpPort>(loop, callbacks);
  ASSERT_TRUE(port->bind(loopback));
  const Address gone = nobody();
  port->send(gone, bytes_of("x"));
  run_until(loop, [&] { return called == 2; });
}

}  // namespace
}  // namespace pointsman::io
