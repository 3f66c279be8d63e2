#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/proxy_header.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

// Clients on this host, by a Unix socket.
namespace pointsman::proxy {
namespace {

class UnixListener : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "unix-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = name + "/mysql.sock";
    options_ = quick_options();
    options_.listen_unix = {path_};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::optional<Peer> connect() const { return Peer::connect(unix_address(path_)); }
  // Bound, not listening.
  int other_programs_socket() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return fd;
    const auto address = unix_address(path_);
    EXPECT_EQ(::bind(fd, address.get(), address.length), 0);
    return fd;
  }
  mode_t mode() const {
    struct stat found{};
    return ::lstat(path_.c_str(), &found) == 0 ? found.st_mode & 07777U : 0;
  }

  std::string directory_;
  std::string path_;
  conf::Proxy options_;
};

// Served like any other, beside TCP; for everybody who reaches it, whatever the umask; gone with the daemon.
TEST_F(UnixListener, Serves) {
  const TestServer server(greet_and_echo);
  const mode_t before = ::umask(0077);
  {
    ProxyUnderTest proxy(options_);
    EXPECT_EQ(::umask(before), 0077U);
    EXPECT_EQ(mode(), 0777U);
    proxy.set_route(route_to(server.address()));
    std::vector<Peer> clients;
    for (int i = 0; i < 20; ++i) {
      auto client = connect();
      ASSERT_TRUE(client && client->read(greeting.size()) == greeting);
      ASSERT_TRUE(client->send_all("abc"));
      EXPECT_EQ(client->read(3), "abc");
      clients.push_back(std::move(*client));
    }
    EXPECT_TRUE(proxy.connect_greeted());
    ASSERT_TRUE(proxy.eventually_active(20));
    for (const auto& session : proxy.sessions()) EXPECT_EQ(session.client, "unix");
    clients.clear();
    EXPECT_TRUE(proxy.eventually_active(0));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// Megabytes both ways, and an end on either side.
TEST_F(UnixListener, RelaysInBulk) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options_);
  proxy.set_route(route_to(server.address()));
  auto client = connect();
  ASSERT_TRUE(client && client->read(greeting.size()) == greeting);
  const std::string sent = pattern(8'000'000, 1);
  auto got = std::async(std::launch::async, [&] { return client->read_to_end(); });
  ASSERT_TRUE(client->send_all(sent));
  client->finish();
  EXPECT_EQ(got.get(), sent);
  EXPECT_EQ(client->end(), Peer::End::orderly);
}

// Held and noticed when it leaves; told why when no primary comes.
TEST_F(UnixListener, IsHeld) {
  options_.hold_timeout = std::chrono::milliseconds(300);
  ProxyUnderTest proxy(options_);
  proxy.set_route(closed_route("failing over"));
  auto leaves = connect();
  ASSERT_TRUE(leaves && proxy.eventually_held(1));
  leaves->close();
  ASSERT_TRUE(proxy.eventually_held(0));
  auto stays = connect();
  ASSERT_TRUE(stays);
  EXPECT_EQ(parse_error(stays->read_to_end()).value_or(ErrorPacket{}).text,
            "pointsman: no primary after 0.3s: failing over");
}

// It has no address to tell: the server sees ours, as without the header.
TEST_F(UnixListener, IsLocalToTheServer) {
  options_.proxy_protocol = conf::ProxyProtocol::v2;
  options_.proxy_protocol_from = {"0.0.0.0/0", "::/0"};  // asks nobody for a header here
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options_);
  proxy.set_route(route_to(server.address()));
  auto client = connect();
  ASSERT_TRUE(client && client->read(greeting.size()) == greeting);
  const std::string header = client->read(16);
  EXPECT_EQ(header, std::string(proxy_header::signature) + std::string("\x20\0\0\0", 4));
}

// One that a killed daemon left is replaced; one that is served, by us or another program, is not.
TEST_F(UnixListener, TakesNobodysPlace) {
  ::close(other_programs_socket());
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  const TestServer server(greet_and_echo);
  {
    ProxyUnderTest proxy(options_);
    proxy.set_route(route_to(server.address()));
    Workers second({.proxy = options_});
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error(), "another pointsman runs: it holds the client socket " + path_ +
                                   " (stop it, or give this one another proxy.listen_unix)");
    auto client = connect();
    EXPECT_TRUE(client && client->read(greeting.size()) == greeting);
  }
  const int serves = other_programs_socket();
  if (serves >= 0) {
    ASSERT_EQ(::listen(serves, 1), 0);
  }
  Workers third({.proxy = options_});
  const auto started = third.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error(), "another program listens: it holds the client socket " + path_ +
                                 " (stop it, or give this one another proxy.listen_unix)");
  EXPECT_TRUE(std::filesystem::exists(path_));
  ::close(serves);
}

}  // namespace
}  // namespace pointsman::proxy
