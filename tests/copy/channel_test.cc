#include "health/copy/channel.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <future>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "health/io/system_text.h"
#include "health/mysql/boot_clock.h"

// The channel between real sockets: two that know the key, and others who would like to.
namespace pointsman::copy {
namespace {

using namespace std::chrono_literals;
using io::Descriptor;
using io::system_text;
using Accepted = std::expected<Channel, std::string>;

conf::AuthKeys keys_of(const std::string& text) {
  auto keys = conf::parse_authkeys(text, "authkeys");
  EXPECT_TRUE(keys);
  return keys ? *keys : conf::AuthKeys{};
}

const char* const our_keys = "auth 2\n1 sha1 an-old-secret\n2 sha256 the-secret-that-both-know\n";

Descriptor tcp_socket() {
  Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw std::runtime_error("no socket: " + system_text(errno));
  return fd;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Listens somewhere; the port.
std::uint16_t listen_on(const Descriptor& fd) {
  auto address = loopback(0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool listens = ::bind(fd.get(), generic, size) == 0 && ::listen(fd.get(), 8) == 0 &&
                       ::getsockname(fd.get(), generic, &size) == 0;
  if (!listens) throw std::runtime_error("cannot listen: " + system_text(errno));
  return ntohs(address.sin_port);
}

class ChannelTest : public testing::Test {
 protected:
  // The server's side of the next connection.
  std::future<Accepted> accept(const conf::AuthKeys& keys) {
    return std::async(std::launch::async, [this, keys] {
      return Channel::accept(Descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)), keys,
                             never);
    });
  }
  // A connection by somebody who speaks as he likes.
  Descriptor stranger() const {
    Descriptor fd = tcp_socket();
    const auto address = loopback(where.port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  const Descriptor listener = tcp_socket();
  const conf::HostPort where{"127.0.0.1", listen_on(listener)};
  const mysql::Waker never;
  const conf::AuthKeys ours = keys_of(our_keys);
};

TEST_F(ChannelTest, CarriesWordsAndDataBothWays) {
  auto server = accept(ours);
  auto client = Channel::connect(where, ours, never);
  ASSERT_TRUE(client) << client.error();
  auto accepted = server.get();
  ASSERT_TRUE(accepted) << accepted.error();
  ASSERT_TRUE(client->send({.verb = "hello", .values = {{"name", "db1"}}}, 5s));
  const auto heard = accepted->receive_words(5s);
  ASSERT_TRUE(heard) << heard.error();
  EXPECT_EQ(heard->value("name"), "db1");
  // More than a frame, and more than the sockets hold.
  const std::string much(std::size_t{20} << 20, 'x');
  auto sent = std::async(std::launch::async, [&] { return accepted->send_data(much, 30s); });
  std::size_t got = 0;
  while (got < much.size()) {
    const auto frame = client->receive(10s);
    ASSERT_TRUE(frame) << frame.error();
    ASSERT_EQ(frame->kind, Channel::Kind::data);
    got += frame->body.size();
  }
  EXPECT_EQ(got, much.size());
  EXPECT_TRUE(sent.get());
}

// A key that is not the one that is signed with counts as well, so that keys can be changed without a gap.
TEST_F(ChannelTest, TakesEachKeyOfTheFile) {
  auto server = accept(ours);
  const auto client = Channel::connect(where, keys_of("auth 1\n1 sha1 an-old-secret\n"), never);
  EXPECT_TRUE(client) << client.error();
  EXPECT_TRUE(server.get());
}

TEST_F(ChannelTest, RefusesAnotherKey) {
  for (const char* text :
       {"auth 2\n2 sha256 another-secret-than-theirs\n", "auth 3\n3 sha256 the-secret-that-both-know\n"}) {
    auto server = accept(ours);
    const auto client = Channel::connect(where, keys_of(text), never);
    EXPECT_FALSE(client) << text;
    EXPECT_FALSE(server.get()) << text;
  }
}

// crc proves nothing, on either side.
TEST_F(ChannelTest, RefusesCrc) {
  const auto crc = keys_of("auth 2\n2 crc\n");
  const auto client = Channel::connect(where, crc, never);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().find("crc, which proves nothing"), std::string::npos) << client.error();
  auto server = accept(crc);
  EXPECT_FALSE(Channel::connect(where, ours, never));
  EXPECT_FALSE(server.get());
}

TEST_F(ChannelTest, RefusesNoise) {
  auto server = accept(ours);
  const auto fd = stranger();
  const std::string noise = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::send(fd.get(), noise.data(), noise.size(), MSG_NOSIGNAL), static_cast<ssize_t>(noise.size()));
  EXPECT_FALSE(server.get());
}

TEST_F(ChannelTest, WaitsForASilentOneNoLongerThanAHandshakeMayTake) {
  auto server = accept(ours);
  const auto fd = stranger();
  const auto begun = mysql::boot_now();
  const auto accepted = server.get();
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error(), "the other side is silent");
  EXPECT_GE(mysql::boot_now() - begun, Channel::handshake_time - 100ms);
  EXPECT_LT(mysql::boot_now() - begun, Channel::handshake_time + 5s);
}

// A first message that is said to be long, and comes byte by byte without end.
TEST_F(ChannelTest, ReadsNoMoreThanAHandshakeMayHave) {
  auto server = accept(ours);
  const auto fd = stranger();
  // TLS records of handshake type, whose message is a ClientHello of 131,072 bytes.
  std::string hello{'\x01', '\x02', '\x00', '\x00'};
  hello += std::string(131'072, '\0');
  std::size_t sent = 0;
  for (std::size_t at = 0; at < hello.size(); at += 4096) {
    const std::string part = hello.substr(at, 4096);
    std::string record{'\x16', '\x03', '\x01', static_cast<char>(part.size() >> 8U),
                       static_cast<char>(part.size())};
    record += part;
    const ssize_t n = ::send(fd.get(), record.data(), record.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += static_cast<std::size_t>(n);
  }
  EXPECT_GT(sent, 0U);
  const auto accepted = server.get();
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error(), "the other side sends too much before it has proven who it is");
}

// All that a client said in a session that was good is said again by somebody who recorded it.
TEST_F(ChannelTest, RefusesWhatWasRecorded) {
  // Between the two sits one who listens.
  const Descriptor tap = tcp_socket();
  const std::uint16_t port = listen_on(tap);
  std::string recorded;
  std::thread listens([&] {
    const Descriptor from(::accept4(tap.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const Descriptor to = stranger();
    std::array<char, 4096> buffer{};
    while (true) {
      std::array<pollfd, 2> fds{pollfd{from.get(), POLLIN, 0}, pollfd{to.get(), POLLIN, 0}};
      if (::poll(fds.data(), fds.size(), 10'000) <= 0) return;
      const bool client = fds[0].revents != 0;
      const ssize_t n = ::recv(client ? from.get() : to.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return;
      if (client) recorded.append(buffer.data(), static_cast<std::size_t>(n));
      (void)::send(client ? to.get() : from.get(), buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL);
    }
  });
  {
    auto server = accept(ours);
    auto client = Channel::connect({"127.0.0.1", port}, ours, never);
    ASSERT_TRUE(client) << client.error();
    auto accepted = server.get();
    ASSERT_TRUE(accepted) << accepted.error();
    ASSERT_TRUE(client->send({.verb = "recipient"}, 5s));
    ASSERT_TRUE(accepted->receive_words(5s));
  }
  listens.join();
  ASSERT_GT(recorded.size(), 200U);
  EXPECT_EQ(recorded.find("recipient"), std::string::npos) << "the words are readable on the wire";
  auto server = accept(ours);
  const auto fd = stranger();
  ASSERT_EQ(::send(fd.get(), recorded.data(), recorded.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(recorded.size()));
  EXPECT_FALSE(server.get());
}

// A bell ends a call, and the other side hears that we are gone.
TEST_F(ChannelTest, EndsWhenItIsGivenUp) {
  auto server = accept(ours);
  mysql::Waker cancel;
  auto client = Channel::connect(where, ours, cancel);
  ASSERT_TRUE(client) << client.error();
  auto accepted = server.get();
  ASSERT_TRUE(accepted);
  cancel.ring();
  const auto begun = mysql::boot_now();
  const auto frame = client->receive(30s);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error(), "given up");
  EXPECT_LT(mysql::boot_now() - begun, 5s);
  client = std::unexpected(std::string("closed"));
  const auto last = accepted->receive(30s);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error(), "the other side has closed the connection");
}

}  // namespace
}  // namespace pointsman::copy
