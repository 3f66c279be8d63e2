#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <mysql.h>

#include "health/io/clock.h"
#include "proxy/mysql_packet.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;
using End = Peer::End;

// No primary yet; a client comes and waits; the route opens and it is served as if nothing had been.
TEST(Hold, ThenServed) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(closed_route("nobody was elected"));
  auto client = proxy.connect();
  ASSERT_TRUE(client && proxy.eventually_held(1));
  EXPECT_EQ(proxy.workers().counts().active, 0u);
  proxy.set_route(route_to(server.address()));
  EXPECT_EQ(client->read(greeting.size()), greeting);
  EXPECT_TRUE(client->send_all("abc"));
  EXPECT_EQ(client->read(3), "abc");
  EXPECT_EQ(proxy.workers().counts().held, 0u);
}

// No primary comes: a MySQL client library reports the number and the whole reason, after hold_timeout and
// not before.
TEST(Hold, TimeoutIsAnErrorThatClientsShow) {
  auto options = quick_options();
  options.hold_timeout = 150ms;
  ProxyUnderTest proxy(options);
  proxy.set_route(closed_route("dbserv1 crashed, dbserv2 is behind"));
  const auto began = io::now();
  const std::unique_ptr<MYSQL, decltype(&mysql_close)> client(mysql_init(nullptr), &mysql_close);
  EXPECT_EQ(
      mysql_real_connect(client.get(), "127.0.0.1", "app", "", nullptr, proxy.address().port(), nullptr, 0),
      nullptr);
  EXPECT_GE(io::now() - began, 150ms);
  EXPECT_EQ(mysql_errno(client.get()), mysql_packet::server_shutdown);
  EXPECT_STREQ(mysql_error(client.get()),
               "pointsman: no primary after 0.15s: dbserv1 crashed, dbserv2 is behind");
  EXPECT_EQ(proxy.workers().counts().hold_timeouts, 1u);
  EXPECT_TRUE(proxy.eventually_held(0));
}

// More clients than may wait: those beyond the limit are told so at once, the others go on waiting.
TEST(Hold, TooMany) {
  auto options = quick_options();
  options.max_held = 3;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  proxy.set_route(closed_route("failing over"));
  std::vector<Peer> waiting;
  for (unsigned i = 1; i <= 3; ++i) {
    auto client = proxy.connect();
    ASSERT_TRUE(client && proxy.eventually_held(i));
    waiting.push_back(std::move(*client));
  }
  auto refused = proxy.connect();
  ASSERT_TRUE(refused);
  const auto error = parse_error(refused->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->number, 1040u);
  EXPECT_EQ(error->text, "Too many connections (pointsman: 3 clients already wait for a primary)");
  EXPECT_EQ(refused->end(), End::orderly);
  EXPECT_EQ(proxy.workers().counts().refused_max_held, 1u);
  proxy.set_route(route_to(server.address()));
  for (auto& client : waiting) EXPECT_EQ(client.read(greeting.size()), greeting);
}

// A client gives up while it waits, by an orderly end or by a reset: its place is free at once.
TEST(Hold, ClientThatLeavesIsNoticed) {
  ProxyUnderTest proxy;
  proxy.set_route(closed_route("no primary"));
  auto stays = proxy.connect();
  auto leaves = proxy.connect();
  auto breaks_off = proxy.connect();
  ASSERT_TRUE(stays && leaves && breaks_off && proxy.eventually_held(3));
  leaves->close();
  EXPECT_TRUE(proxy.eventually_held(2));
  breaks_off->reset();
  EXPECT_TRUE(proxy.eventually_held(1));
  EXPECT_EQ(proxy.sessions().size(), 1u);
}

// A client that speaks before it is greeted is held like any other, and nothing that it said is lost.
TEST(Hold, EarlyBytesAreKept) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  auto client = proxy.connect();
  ASSERT_TRUE(client && client->send_all("too early") && proxy.eventually_held(1));
  proxy.set_route(route_to(server.address()));
  EXPECT_EQ(client->read(greeting.size() + 9), std::string(greeting) + "too early");
}

// Sixty wait while the rate is 100 a second: the first go at once, the last not before its turn, and all of
// them.
TEST(Hold, ReleasedAtTheRate) {
  constexpr unsigned clients = 60;
  auto options = quick_options();
  options.release_rate = 100;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  std::vector<Peer> waiting;
  for (unsigned i = 0; i < clients; ++i) {
    auto client = proxy.connect();
    ASSERT_TRUE(client);
    waiting.push_back(std::move(*client));
  }
  ASSERT_TRUE(proxy.eventually_held(clients));
  const auto opened = io::now();
  proxy.set_route(route_to(server.address()));
  for (auto& client : waiting) ASSERT_EQ(client.read(greeting.size()), greeting);
  // Six go at once (one, and what 50 ms give), then 54 at 10 ms each.
  EXPECT_GE(io::now() - opened, 540ms);
}

// While the held of an outage are let go slowly, a new client of the open route need not queue behind them.
TEST(Hold, NewClientsDoNotQueueBehindTheBacklog) {
  constexpr unsigned backlog = 30;
  auto options = quick_options();
  options.release_rate = 1;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  std::vector<Peer> waiting;
  for (unsigned i = 0; i < backlog; ++i) {
    auto client = proxy.connect();
    ASSERT_TRUE(client);
    waiting.push_back(std::move(*client));
  }
  ASSERT_TRUE(proxy.eventually_held(backlog));
  proxy.set_route(route_to(server.address()));
  EXPECT_TRUE(proxy.connect_greeted());
  EXPECT_GT(proxy.workers().counts().held, backlog / 2);
}

// The backend refuses at first, as a server that is just starting does: the client is not told, and served
// when it listens.
TEST(Hold, BackendComesLate) {
  ReservedPort backend;
  ProxyUnderTest proxy;
  proxy.set_route(route_to(backend.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client && proxy.eventually_held(1));
  backend.listen();
  auto server = backend.accept();
  ASSERT_TRUE(server);
  server->send_all("welcome");
  EXPECT_EQ(client->read(7), "welcome");
}

// The backend refuses until the client's time is over: the client learns which server did not answer and why.
TEST(Hold, BackendNeverComes) {
  const ReservedPort backend;
  auto options = quick_options();
  options.hold_timeout = 100ms;
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(backend.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  const auto error = parse_error(client->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->number, mysql_packet::server_shutdown);
  EXPECT_EQ(error->text, "pointsman: cannot connect to the primary at " + backend.address().to_string() +
                             " for 0.1s: connection refused");
}

// A dying server accepts and closes without a word: the client is not told, and gets the server that the next
// route names.
TEST(Hold, ServerThatClosesWithoutAWord) {
  const TestServer dying([](Peer& peer) { peer.finish(); });
  const TestServer successor(greet_as("successor"));
  ProxyUnderTest proxy;
  proxy.set_route(route_to(dying.address(), Route::Mode::open, 0));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  ASSERT_TRUE(eventually([&] { return dying.accepted() >= 2; }));
  proxy.set_route(route_to(successor.address(), Route::Mode::open, 1));
  EXPECT_EQ(client->read(10), "successor\n");
}

// A frozen server: its kernel accepts, nobody greets. Clients of another route are not kept waiting by that,
// and when the route changes the ones that were never greeted are served by the new server.
TEST(Hold, UngreetedClientsMoveToTheNewServer) {
  ReservedPort frozen;
  frozen.listen();
  const TestServer successor(greet_as("successor"));
  ProxyUnderTest proxy;
  proxy.set_route(route_to(frozen.address(), Route::Mode::open, 0));
  std::vector<Peer> clients;
  for (int i = 0; i < 8; ++i) {
    auto client = proxy.connect();
    ASSERT_TRUE(client);
    clients.push_back(std::move(*client));
  }
  ASSERT_TRUE(proxy.eventually_active(8));
  proxy.set_route(closed_route("frozen server: hung"));
  EXPECT_TRUE(proxy.eventually_held(8));
  proxy.set_route(route_to(successor.address(), Route::Mode::open, 1));
  for (auto& client : clients) EXPECT_EQ(client.read(10), "successor\n");
}

// A server that accepts and never greets, and no other comes: the client is told, in bounded time.
TEST(Hold, NeverGreeted) {
  ReservedPort silent;
  silent.listen();
  auto options = quick_options();
  options.hold_timeout = 100ms;
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(silent.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  const auto error = parse_error(client->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->text, "pointsman: the primary at " + silent.address().to_string() +
                             " accepted the connection, but did not greet within 0.1s");
}

// A client waits for a server that never greets and leaves: both connections end.
TEST(Hold, UngreetedClientLeaves) {
  ReservedPort silent;
  silent.listen();
  ProxyUnderTest proxy;
  proxy.set_route(route_to(silent.address()));
  auto client = proxy.connect();
  auto server = silent.accept();
  ASSERT_TRUE(client && server && proxy.eventually_active(1));
  client->close();
  EXPECT_EQ(server->read_to_end(), "");
  EXPECT_TRUE(proxy.eventually_active(0));
}

// A host that drops packets: the connect is given up after connect_timeout, and tried again elsewhere when
// the route changes.
TEST(Hold, ConnectTimeout) {
  ReservedPort full;  // a listener whose backlog is full drops SYNs
  full.listen();
  std::vector<Peer> fillers;
  for (int i = 0; i < 200; ++i) {
    Peer filler(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    static_cast<void>(::connect(filler.fd(), full.address().get(), full.address().length));
    fillers.push_back(std::move(filler));
  }
  auto options = quick_options();
  options.connect_timeout = 50ms;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(full.address(), Route::Mode::open, 0));
  auto client = proxy.connect();
  ASSERT_TRUE(client && proxy.eventually_held(1));
  proxy.set_route(route_to(server.address(), Route::Mode::open, 1));
  EXPECT_EQ(client->read(greeting.size()), greeting);
}

// hold_timeout is shortened by a reload while a client waits: it is told at once.
TEST(Hold, ReloadedLimits) {
  auto options = quick_options();
  options.hold_timeout = 10min;
  ProxyUnderTest proxy(options);
  auto client = proxy.connect();
  ASSERT_TRUE(client && proxy.eventually_held(1));
  options.hold_timeout = 1ms;
  proxy.workers().reconfigure(options);
  const auto error = parse_error(client->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->text, "pointsman: no primary after 0.001s: pointsman has just started");
}

}  // namespace
}  // namespace pointsman::proxy
