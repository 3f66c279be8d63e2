#include "proxy/workers.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "proxy/mysql_packet.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

using End = Peer::End;

// Workers that were never started, or have been stopped, answer like idle ones.
TEST(Workers, NotRunning) {
  Workers workers({.proxy = quick_options()});
  unsigned called = 0;
  workers.set_route(closed_route("early"), [&] { ++called; });
  workers.list_sessions(
      10, [&](const std::vector<SessionInfo>& sessions) { called += sessions.empty() ? 1 : 100; });
  EXPECT_EQ(called, 2u);
  ASSERT_TRUE(workers.start());
  workers.stop();
  workers.stop();
  workers.set_route(closed_route("late"), [&] { ++called; });
  EXPECT_EQ(called, 3u);
  EXPECT_TRUE(workers.listening().empty());
  EXPECT_EQ(workers.counts().total, 0u);
}

// A route that was set before the start is the one that the first client gets.
TEST(Workers, RouteBeforeStart) {
  const TestServer server(greet_and_echo);
  Workers workers({.proxy = quick_options()});
  workers.set_route(route_to(server.address()));
  ASSERT_TRUE(workers.start());
  auto client = Peer::connect(*io::Address::numeric(workers.listening().front()));
  ASSERT_TRUE(client);
  EXPECT_EQ(client->read(greeting.size()), greeting);
}

// IPv4 and IPv6, each on its own port of the kernel's choice, which all workers share.
TEST(Workers, ListensOnEveryAddress) {
  auto options = quick_options();
  options.listen = {{"127.0.0.1", 0}, {"::1", 0}};
  options.threads = 3;
  const TestServer server(greet_and_echo, "::1");
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  const auto listening = proxy.workers().listening();
  ASSERT_EQ(listening.size(), 2u);
  for (const auto& where : listening) {
    EXPECT_NE(where.port, 0);
    for (int i = 0; i < 10; ++i) {
      auto client = Peer::connect(*io::Address::numeric(where));
      ASSERT_TRUE(client);
      EXPECT_EQ(client->read(greeting.size()), greeting);
    }
  }
}

// Somebody else has the port, even one who would share it: start fails, names the address, and leaves nothing
// behind.
TEST(Workers, PortInUse) {
  ProxyUnderTest other;  // listens with SO_REUSEPORT, as a second daemon would
  auto options = quick_options();
  const auto taken = other.workers().listening().front();
  options.listen = {{"127.0.0.1", 0}, taken};
  Workers workers({.proxy = options});
  const auto started = workers.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error(), "cannot listen on " + conf::to_string(taken) + ": Address already in use");
  EXPECT_TRUE(workers.listening().empty());
  EXPECT_TRUE(other.connect());
}

TEST(Workers, AddressThatIsNotOurs) {
  auto options = quick_options();
  options.listen = {{"192.0.2.1", 3306}};  // RFC 5737: documentation
  Workers workers({.proxy = options});
  const auto started = workers.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error(), "cannot listen on 192.0.2.1:3306: Cannot assign requested address");
}

// The limit counts over all workers; beyond it a client is told, and a place that becomes free can be taken.
TEST(Workers, MaxConnections) {
  auto options = quick_options();
  options.max_connections = 4;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  std::vector<Peer> clients;
  for (int i = 0; i < 4; ++i) {
    auto client = proxy.connect_greeted();
    ASSERT_TRUE(client);
    clients.push_back(std::move(*client));
  }
  auto refused = proxy.connect();
  ASSERT_TRUE(refused);
  const auto error = parse_error(refused->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->number, mysql_packet::too_many_connections);
  EXPECT_EQ(error->text, "Too many connections (pointsman: max_connections = 4)");
  EXPECT_EQ(proxy.workers().counts().refused_max_connections, 1u);
  clients.pop_back();
  ASSERT_TRUE(proxy.eventually_active(3));
  EXPECT_TRUE(proxy.connect_greeted());
  options.max_connections = 1000;
  proxy.workers().reconfigure(options);
  for (int i = 0; i < 10; ++i) {
    auto client = proxy.connect_greeted();
    ASSERT_TRUE(client);
    clients.push_back(std::move(*client));
  }
}

// What an operator sees of the sessions: address, backend or none, bytes, worker.
TEST(Workers, ListsSessions) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address(), Route::Mode::open, 1));
  auto active = proxy.connect_greeted();
  ASSERT_TRUE(active && active->send_all("12345") && active->read(5) == "12345");
  proxy.set_route(route_to(server.address(), Route::Mode::holding, 1));
  // Each worker tells the ages of its own, at a moment of its own.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  auto held = proxy.connect();
  ASSERT_TRUE(held && proxy.eventually_held(1));
  const auto sessions = proxy.sessions();
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[0].backend, core::BackendId{1});
  EXPECT_EQ(sessions[0].bytes_from_client, 5u);
  EXPECT_EQ(sessions[0].bytes_from_server, greeting.size() + 5);
  EXPECT_EQ(sessions[1].backend, std::nullopt);
  EXPECT_LT(sessions[0].id, sessions[1].id);
  EXPECT_GE(sessions[0].age, sessions[1].age);
  io::Address own;
  own.length = sizeof own.storage;
  ASSERT_EQ(getsockname(held->fd(), own.get(), &own.length), 0);
  EXPECT_EQ(sessions[1].client, own.to_string());
  EXPECT_EQ(proxy.sessions(1).size(), 1u);
  EXPECT_EQ(proxy.workers().counts().active_by_backend[1], 1u);
}

// A deploy restarts two thousand application processes while no primary is routed; then one comes.
TEST(Workers, StormOfTwoThousand) {
  constexpr unsigned clients = 2000;
  constexpr unsigned threads = 8;
  auto options = quick_options();
  options.max_held = clients;
  options.release_rate = 100'000;
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 4 * clients) GTEST_SKIP() << "needs " << 4 * clients << " file descriptors";
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  ReservedPort backend;
  backend.listen(clients);
  ProxyUnderTest proxy(options);
  std::vector<std::vector<Peer>> connected(threads);
  std::vector<std::thread> dialers;
  for (auto& mine : connected) {
    dialers.emplace_back([&] {
      for (unsigned i = 0; i < clients / threads; ++i) {
        auto client = proxy.connect();
        ASSERT_TRUE(client);
        mine.push_back(std::move(*client));
      }
    });
  }
  for (auto& dialer : dialers) dialer.join();
  ASSERT_TRUE(proxy.eventually_held(clients));
  proxy.set_route(route_to(backend.address()));
  std::vector<Peer> served;
  for (unsigned i = 0; i < clients; ++i) {
    auto server = backend.accept();
    ASSERT_TRUE(server && server->send_all("hi"));
    served.push_back(std::move(*server));
  }
  for (auto& mine : connected) {
    for (auto& client : mine) ASSERT_EQ(client.read(2), "hi");
  }
  EXPECT_EQ(proxy.workers().counts().active, clients);
  proxy.set_route(closed_route("storm over"));
  EXPECT_EQ(proxy.workers().counts().active, 0u);
}

// The process has no file descriptor left: clients wait in the kernel's queue and are served when there are
// some again; the worker does not spin meanwhile.
TEST(Workers, OutOfFileDescriptors) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<Peer> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int highest = clients.back().fd();
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(highest) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<Peer> fillers;  // of the gaps below
  while (true) {
    const int fd = fcntl(highest, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) break;
    fillers.emplace_back(fd);
  }
  const auto address = proxy.address();
  for (auto& client : clients) ASSERT_EQ(::connect(client.fd(), address.get(), address.length), 0);
  EXPECT_TRUE(eventually([&] { return proxy.workers().counts().accept_pauses > 0; }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  for (auto& client : clients) EXPECT_EQ(client.read(greeting.size()), greeting);
  EXPECT_LT(proxy.workers().counts().accept_pauses, 1000u);
}

// The daemon ends with sessions in every state: connecting, relaying, blocked by a slow reader, held. Each
// loop closes cleanly and every client sees the end.
TEST(Workers, StopWithOpenSessions) {
  const TestServer pouring([](Peer& peer) {
    const auto chunk = pattern(1 << 20, 2);
    while (peer.send_all(chunk)) {
    }
  });
  const TestServer echo(greet_and_echo);
  std::vector<Peer> clients;
  {
    ProxyUnderTest proxy;
    proxy.set_route(route_to(pouring.address(), Route::Mode::open, 0));
    for (int i = 0; i < 4; ++i) {
      auto client = proxy.connect();
      ASSERT_TRUE(client && client->read(1).size() == 1);
      clients.push_back(std::move(*client));
    }
    proxy.set_route(route_to(pouring.address(), Route::Mode::holding, 0));
    for (int i = 0; i < 4; ++i) {
      auto client = proxy.connect();
      ASSERT_TRUE(client);
      clients.push_back(std::move(*client));
    }
    ASSERT_TRUE(proxy.eventually_held(4));
    proxy.workers().stop();
    EXPECT_EQ(proxy.workers().counts().active, 0u);
    EXPECT_EQ(proxy.workers().counts().held, 0u);
  }
  for (auto& client : clients) {
    client.read_to_end();
    EXPECT_NE(client.end(), End::silent);
  }
}

// Stopped in the middle of a storm, with connects under way and routes being announced.
TEST(Workers, StopUnderLoad) {
  const TestServer server(greet_and_echo);
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> dialers;
    std::atomic<bool> stop = false;
    std::atomic<unsigned> applied = 0;
    {
      ProxyUnderTest proxy;
      const auto address = proxy.address();
      for (int i = 0; i < 4; ++i) {
        dialers.emplace_back([&stop, address] {
          while (!stop) {
            auto client = Peer::connect(address);
            if (!client) return;
            client->read(greeting.size());
          }
        });
      }
      ASSERT_TRUE(eventually([&] { return proxy.workers().counts().held == 4; }));
      proxy.workers().set_route(route_to(server.address()), [&] { ++applied; });
      ASSERT_TRUE(eventually([&] { return proxy.workers().counts().total > 100; }));
      proxy.workers().set_route(closed_route("stopping"), [&] { ++applied; });
      proxy.workers().set_route(route_to(server.address()), [&] { ++applied; });
      proxy.workers().list_sessions(10, [&](const std::vector<SessionInfo>&) { ++applied; });
    }
    EXPECT_EQ(applied, 4u);
    stop = true;
    for (auto& dialer : dialers) dialer.join();
  }
}

}  // namespace
}  // namespace pointsman::proxy
