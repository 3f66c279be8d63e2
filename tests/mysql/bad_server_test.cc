#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/mysql/fake_server.h"
#include "tests/mysql/watch.h"

namespace pointsman::mysql {
namespace {

using core::FailureKind;

const conf::Account account{"pointsman", "", "monitor-secret"};

Commander::Options options_for(const conf::HostPort& address) {
  return {address, account, {"replica", "", "replica-secret"}, 500ms, 500ms};
}

// A protocol packet: length, sequence number, payload.
std::string packet(unsigned sequence, const std::string& payload) {
  std::string bytes{static_cast<char>(payload.size() & 0xff), static_cast<char>(payload.size() >> 8), '\0',
                    static_cast<char>(sequence)};
  return bytes + payload;
}

std::string greeting(const std::string& version) {
  using namespace std::string_literals;
  return packet(0, "\x0a"s + version + "\0"s + "\x01\0\0\0"s + "12345678\0"s + "\xff\xf7"s + "\x21\x02\0"s +
                       "\xff\x81"s + "\x15"s + std::string(10, '\0') + "123456789012\0"s +
                       "mysql_native_password\0"s);
}

const std::string ok_packet(unsigned sequence) {
  return packet(sequence, std::string("\0\0\0\x02\0\0\0", 7));
}

// Someone else's protocol on the port, as the answer to the connection or after a moment: not a MySQL server,
// and the text shows what came.
TEST(BadServer, OtherProtocolIsNotMySql) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, "SSH-2.0-OpenSSH_9.2p1\r\n");
    server.hold(fd);
  });
  ProbeWatch watch(server.address(), account);
  // A greeting that is there before we look is judged by the library, which waits for the rest of so long a
  // packet.
  const auto failure =
      watch.next([](const auto& o) { return !o && o.error().kind == FailureKind::not_mysql; });
  ASSERT_TRUE(failure);
  EXPECT_NE(failure->error().text.find("SSH-2.0"), std::string::npos) << failure->error().text;
  EXPECT_FALSE(core::proves_life(failure->error().kind));
}

// Binary noise with a short packet length is refused by the library itself.
TEST(BadServer, GarbageIsNotMySql) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, std::string("\x05\0\0\0\x0a\xff\xfe\xfd\xfc", 9));
    server.hold(fd);
  });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::not_mysql) << show(*failure);
}

// An HTTP server waits for our request as we wait for its greeting.
TEST(BadServer, SilenceIsATimeout) {
  FakeServer server([&](int fd) { server.hold(fd); });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::timeout);
  EXPECT_NE(failure->text.find("no greeting within"), std::string::npos) << failure->text;
  EXPECT_LT(watch.stop(), 1200ms);
}

// A server that sends a byte every now and then keeps no call alive beyond its deadline.
TEST(BadServer, DrippingIsATimeout) {
  FakeServer server([&](int fd) {
    for (const char byte : greeting("8.0.30")) {
      FakeServer::send(fd, {&byte, 1});
      ::usleep(50'000);  // the scenario itself, not a wait for something
    }
  });
  ProbeWatch watch(server.address(), account, 50ms, 300ms);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::timeout) << show(*failure);
}

// A connection that is accepted and closed without a word, as a dying server or a forwarder to a dead one
// does it.
TEST(BadServer, ClosingAtOnceIsLost) {
  FakeServer server([](int) {});
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::lost) << show(*failure);
}

// An error instead of a greeting proves life.
TEST(BadServer, ErrorInsteadOfAGreeting) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, packet(0, "\xff\x10\x04Too many connections"));
    server.hold(fd);
  });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::too_many) << show(*failure);
  EXPECT_EQ(failure->server_errno, 1040U);
}

// A server too old to replicate by GTID as we need it: alive, and the text says what is needed.
TEST(BadServer, OldVersionIsUnsupported) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, greeting("5.7.44-log"));
    if (server.wait_for_bytes(fd)) FakeServer::send(fd, ok_packet(2));
    server.hold(fd);
  });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::unsupported) << show(*failure);
  EXPECT_NE(failure->text.find("5.7.44"), std::string::npos) << failure->text;
}

// A server that answers the login and then nothing: the probe ends by its deadline, and so does everything
// else.
TEST(BadServer, SilentAfterLogin) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, greeting("8.4.0"));
    if (server.wait_for_bytes(fd)) FakeServer::send(fd, ok_packet(2));
    server.hold(fd);
  });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureKind::timeout) << show(*failure);
  EXPECT_LT(watch.stop(), 1200ms);
}

// Asked for the password in clear text, or for a plugin that reads our terminal, we say no; and the password
// is nowhere.
TEST(BadServer, CannotTalkUsIntoAnotherPlugin) {
  FakeServer server([&](int fd) {
    FakeServer::send(fd, greeting("8.0.30"));
    if (!server.wait_for_bytes(fd)) return;
    FakeServer::send(fd, packet(2, std::string("\xfemysql_clear_password\0", 22)));
    std::array<char, 256> bytes{};
    const auto got = ::recv(fd, bytes.data(), bytes.size(), 0);
    EXPECT_EQ(std::string_view(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0).find("secret"),
              std::string_view::npos);
  });
  ProbeWatch watch(server.address(), account);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->text.find("secret"), std::string::npos) << failure->text;
}

// Nobody listens: at once, and again at each interval.
TEST(BadServer, RefusedIsRefused) {
  conf::HostPort address;
  {
    FakeServer server([](int) {});
    address = server.address();
  }
  ProbeWatch watch(address, account);
  for (int i = 0; i < 3; ++i) {
    const auto failure = watch.next_failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, FailureKind::refused) << show(*failure);
    EXPECT_NE(failure->text.find(conf::to_string(address)), std::string::npos) << failure->text;
  }
}

// A command to a server that never greets fails by the connect timeout; what is beyond the queue's limit
// fails at once; abort() ends the running one and all that wait; and the destructor does not wait for the
// server.
TEST(BadServer, CommanderEndsWhateverTheServerDoes) {
  FakeServer server([&](int fd) { server.hold(fd); });
  auto options = options_for(server.address());
  options.connect_timeout = 20s;
  Commands commands(options);
  std::vector<core::CommandId> ids;
  // The command thread takes one of them and no more, at whatever moment: before the limit is reached, after
  // the one beyond it was refused, or later.
  for (std::size_t i = 0; i < Commander::max_queued + 2; ++i) ids.push_back(commands.submit(core::Inspect{}));
  const auto beyond = std::ranges::find_if(ids, [&](auto id) { return commands.is_answered(id); });
  ASSERT_NE(beyond, ids.end());
  EXPECT_GE(beyond - ids.begin(), static_cast<std::ptrdiff_t>(Commander::max_queued));
  const auto refused = commands.result_of(*beyond);
  EXPECT_NE(refused->error().text.find("wait already"), std::string::npos) << refused->error().text;
  ids.erase(beyond);
  commands.commander().abort();
  for (const auto id : ids) {
    const auto result = commands.result_of(id);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->error().kind, FailureKind::timeout);
  }
  commands.submit(core::Inspect{});
  EXPECT_LT(commands.stop(), 10s);
}

TEST(BadServer, CommandFailsByTheConnectTimeout) {
  FakeServer server([&](int fd) { server.hold(fd); });
  Commands commands(options_for(server.address()));
  const auto result = commands(core::Inspect{});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, FailureKind::timeout) << show(result.error());
}

}  // namespace
}  // namespace pointsman::mysql
