#include "proxy/ring.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/io/address.h"

namespace pointsman::proxy {
namespace {

constexpr int step_ms = 10;  // a send that succeeds is no news to return for

// Two ends of a stream; the first is the ring's.
class Pair {
 public:
  explicit Pair(int family = AF_UNIX) {
    if (family == AF_UNIX) {
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
    } else {
      connect_over_loopback();
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    for (const int fd : ends_) {
      if (fd >= 0) ::close(fd);
    }
  }
  int ours() const { return ends_[0]; }
  int peer() const { return ends_[1]; }
  int release() { return std::exchange(ends_[0], -1); }
  void say(const std::string& bytes) const {
    EXPECT_EQ(::send(peer(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::string hear(std::size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t n = ::recv(peer(), bytes.data(), size, MSG_WAITALL);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return bytes;
  }

 private:
  void connect_over_loopback() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    io::Address address = *io::Address::numeric({"127.0.0.1", 0});
    EXPECT_EQ(::bind(listener, address.get(), address.length), 0);
    EXPECT_EQ(::getsockname(listener, address.get(), &address.length), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    ends_[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(ends_[1], address.get(), address.length), 0);
    ends_[0] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(ends_[0], 0);
    ::close(listener);
  }

  std::array<int, 2> ends_{-1, -1};
};

struct Asker final : Ring::User {
  void on_polled() override { ++polled; }
  void on_received(int result, std::span<const char> bytes, bool more_waits) override {
    received = result;
    text.append(bytes.begin(), bytes.end());
    more = more_waits;
    ++times;
    if (then) then(bytes);
  }
  void on_sent(int result, std::span<const char> bytes) override {
    sent = result;
    rest.assign(bytes.begin() + std::max(result, 0), bytes.end());
  }

  int polled = 0;
  int times = 0;
  std::optional<int> received;
  std::optional<int> sent;
  std::string text;
  std::string rest;
  bool more = false;
  std::function<void(std::span<const char>)> then;
};

class RingTest : public testing::Test {
 protected:
  RingTest() {
    auto made = Ring::create();
    if (made) ring_ = std::move(*made);
    EXPECT_TRUE(ring_) << made.error();
  }

  void until(const std::function<bool()>& done) {
    for (int i = 0; i < 2000 && !done(); ++i) {
      ring_->wait(step_ms);
      ring_->hand_out();
    }
    EXPECT_TRUE(done());
  }

  std::unique_ptr<Ring> ring_;
};

TEST_F(RingTest, ReceivesWhatComesLater) {
  const Pair pair;
  Asker asker;
  ring_->receive(asker, pair.ours(), Ring::Chunk::small);
  ring_->wait(0);
  ring_->hand_out();
  EXPECT_EQ(asker.times, 0);
  pair.say("hello");
  until([&] { return asker.times == 1; });
  EXPECT_EQ(asker.received, 5);
  EXPECT_EQ(asker.text, "hello");
  EXPECT_FALSE(asker.more);
}

TEST_F(RingTest, TellsThatThereIsMore) {
  const Pair pair(AF_INET);  // Linux 6.1 does not tell it of Unix sockets
  Asker asker;
  pair.say(std::string(Ring::small_chunk + 1, 'x'));
  ring_->receive(asker, pair.ours(), Ring::Chunk::small);
  until([&] { return asker.times == 1; });
  EXPECT_EQ(asker.text.size(), Ring::small_chunk);
  EXPECT_TRUE(asker.more);
  ring_->receive(asker, pair.ours(), Ring::Chunk::large);
  until([&] { return asker.times == 2; });
  EXPECT_EQ(asker.text.size(), Ring::small_chunk + 1);
}

// What a receive brought goes on from where it is, and its buffer is used again only then.
TEST_F(RingTest, PassesOnWithoutACopy) {
  const Pair from;
  const Pair to;
  Asker reader;
  Asker writer;
  const char* first = nullptr;
  reader.then = [&](std::span<const char> bytes) {
    first = first == nullptr ? bytes.data() : first;
    ring_->send(writer, to.ours(), bytes);
    ring_->hurry();
  };
  std::string passed;
  // More often than there are buffers.
  for (int i = 0; i < 1000; ++i) {
    const std::string chunk = "chunk " + std::to_string(i);
    from.say(chunk);
    const int had = reader.times;
    writer.sent.reset();
    ring_->receive(reader, from.ours(), Ring::Chunk::small);
    until([&] { return reader.times == had + 1 && writer.sent; });
    ASSERT_EQ(writer.sent, static_cast<int>(chunk.size()));
    ASSERT_EQ(to.hear(chunk.size()), chunk);
  }
}

// Nobody has to wait: what the kernel does not take is told, with what it was.
TEST_F(RingTest, SendsAsFarAsTheKernelTakes) {
  const Pair pair;
  const std::string much(8 << 20, 'm');
  Asker asker;
  ring_->send(asker, pair.ours(), much);
  until([&] { return asker.sent.has_value(); });
  ASSERT_GT(*asker.sent, 0);
  ASSERT_LT(*asker.sent, static_cast<int>(much.size()));
  EXPECT_EQ(asker.rest.size(), much.size() - static_cast<std::size_t>(*asker.sent));
  asker.sent.reset();
  ring_->send(asker, pair.ours(), std::string_view("full"));
  until([&] { return asker.sent.has_value(); });
  EXPECT_EQ(asker.sent, -EAGAIN);
}

TEST_F(RingTest, SendsAllHoweverLongItTakes) {
  const Pair pair;
  const std::vector<char> much(8 << 20, 'm');
  Asker asker;
  ring_->send_all(asker, pair.ours(), much);
  ring_->wait(10);
  ring_->hand_out();
  EXPECT_FALSE(asker.sent);
  std::string heard;
  std::thread reader([&] { heard = pair.hear(much.size()); });
  until([&] { return asker.sent.has_value(); });
  reader.join();
  EXPECT_EQ(asker.sent, static_cast<int>(much.size()));
  EXPECT_TRUE(std::ranges::equal(heard, much));
}

TEST_F(RingTest, SendToOneWhoHasGone) {
  Pair pair;
  ::shutdown(pair.peer(), SHUT_RDWR);
  Asker asker;
  ring_->send(asker, pair.ours(), std::string_view("anybody?"));
  until([&] { return asker.sent.has_value(); });
  EXPECT_EQ(asker.sent, -EPIPE);
}

// A user that gave up is told nothing, and its places are free again: more often than there are any.
TEST_F(RingTest, GivesUp) {
  const Pair pair;
  for (int i = 0; i < 10'000; ++i) {
    Asker asker;
    const auto receive = ring_->receive(asker, pair.ours(), Ring::Chunk::small);
    const auto poll = ring_->poll(asker, pair.ours(), POLLRDHUP);
    ring_->wait(0);
    ring_->give_up(receive);
    ring_->give_up(poll);
    ring_->wait(0);
    ring_->hand_out();
    ASSERT_EQ(asker.times, 0);
    ASSERT_EQ(asker.polled, 0);
  }
  Asker asker;
  ring_->receive(asker, pair.ours(), Ring::Chunk::small);
  pair.say("still there");
  until([&] { return asker.times == 1; });
  EXPECT_EQ(asker.text, "still there");
}

// Bytes that were sent before go out, although nobody wants to know.
TEST_F(RingTest, ClosesAfterWhatWasSent) {
  Pair pair;
  {
    Asker asker;
    const auto waits = ring_->receive(asker, pair.ours(), Ring::Chunk::small);
    ring_->give_up(ring_->send(asker, pair.ours(), std::string_view("last words")));
    ring_->give_up(waits);
    ring_->close(pair.release());
  }
  ring_->submit();
  EXPECT_EQ(pair.hear(11), "last words");  // and then the end, or this waits
}

// More streams have always something to read than there are buffers: they take turns.
TEST_F(RingTest, TheBuffersGoRound) {
  constexpr std::size_t count = 600;
  constexpr std::size_t rounds = 5;
  std::vector<Pair> pairs(count);
  std::vector<Asker> askers(count);
  std::vector<std::size_t> had(count);
  for (std::size_t i = 0; i < count; ++i) {
    pairs[i].say(std::string((rounds + 1) * Ring::small_chunk, 'x'));
    askers[i].then = [&, i](std::span<const char> bytes) {
      if (!bytes.empty()) ++had[i];
      // Its buffer stays in use until it is sent on.
      if (!bytes.empty()) ring_->send(askers[i], pairs[i].ours(), bytes);
      ring_->receive(askers[i], pairs[i].ours(), Ring::Chunk::small);
    };
    ring_->receive(askers[i], pairs[i].ours(), Ring::Chunk::small);
  }
  until([&] { return std::ranges::max(had) == rounds; });
  EXPECT_GE(std::ranges::min(had), rounds - 2);
}

// More streams have something to read than there are buffers: the rest is told to ask again, and gets it.
TEST_F(RingTest, MoreThanBuffers) {
  constexpr std::size_t count = 600;
  std::vector<Pair> pairs(count);
  std::vector<Asker> askers(count);
  for (std::size_t i = 0; i < count; ++i) {
    pairs[i].say("x");
    // Its buffer stays in use until it is sent on.
    askers[i].then = [&, i](std::span<const char> bytes) {
      if (!bytes.empty()) ring_->send(askers[i], pairs[i].ours(), bytes);
    };
    ring_->receive(askers[i], pairs[i].ours(), Ring::Chunk::small);
  }
  std::size_t asked_again = 0;
  until([&] {
    for (std::size_t i = 0; i < count; ++i) {
      if (askers[i].received != -ENOBUFS) continue;
      askers[i].received.reset();
      ++asked_again;
      ring_->receive(askers[i], pairs[i].ours(), Ring::Chunk::small);
    }
    return std::ranges::all_of(askers, [](const Asker& asker) { return asker.sent.has_value(); });
  });
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(pairs[i].hear(1), "x");
}

}  // namespace
}  // namespace pointsman::proxy
