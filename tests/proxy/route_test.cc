#include <atomic>
#include <cerrno>
#include <cstddef>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "health/io/clock.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

using End = Peer::End;

// The primary is fenced: its sessions end at once on both sides, also one whose request is unanswered.
TEST(RouteChange, ClosedEndsSessions) {
  std::promise<End> server_saw;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    peer.read_to_end();
    server_saw.set_value(peer.end());
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client && client->send_all("unanswered"));
  ASSERT_TRUE(eventually([&] { return proxy.sessions().at(0).bytes_from_client == 10; }));
  proxy.set_route(closed_route("fencing"));
  // `applied` has been called: nothing of the session is left.
  EXPECT_EQ(proxy.workers().counts().active, 0u);
  EXPECT_TRUE(proxy.sessions().empty());
  EXPECT_EQ(client->read_to_end(), "");
  EXPECT_NE(client->end(), End::silent);
  EXPECT_EQ(server_saw.get_future().get(), End::reset);
}

// However many there are: when it is said that they have ended, each server has been told.
TEST(RouteChange, ClosedHasEndedEverySession) {
  constexpr std::size_t sessions = 500;
  ReservedPort backend;
  backend.listen(sessions);
  auto options = quick_options();
  options.threads = 1;
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(backend.address()));
  std::vector<Peer> clients;
  std::vector<Peer> servers;
  for (std::size_t i = 0; i < sessions; ++i) {
    auto client = proxy.connect();
    auto server = backend.accept();
    ASSERT_TRUE(client && server && server->send_all("hi") && client->read(2) == "hi") << i;
    clients.push_back(std::move(*client));
    servers.push_back(std::move(*server));
  }
  proxy.set_route(closed_route("fencing"));
  for (std::size_t i = 0; i < sessions; ++i) {
    char byte = 0;
    ASSERT_EQ(::recv(servers[i].fd(), &byte, 1, MSG_DONTWAIT), -1) << i;
    ASSERT_EQ(errno, ECONNRESET) << i;
  }
  for (auto& client : clients) ASSERT_EQ(client.read_to_end(), "");
}

// The route opens to another server: sessions of the old one end, sessions of the new one go on.
TEST(RouteChange, OtherBackendEndsSessions) {
  const TestServer first(greet_as("first"));
  const TestServer second(greet_as("second"));
  ProxyUnderTest proxy;
  proxy.set_route(route_to(first.address(), Route::Mode::open, 0));
  auto old_client = proxy.connect_greeted("first\n");
  ASSERT_TRUE(old_client);
  proxy.set_route(route_to(second.address(), Route::Mode::open, 1));
  EXPECT_EQ(old_client->read_to_end(), "");
  EXPECT_NE(old_client->end(), End::silent);
  EXPECT_TRUE(proxy.connect_greeted("second\n"));
}

// The same server under a new epoch: nobody is disturbed.
TEST(RouteChange, SameBackendKeepsSessions) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  proxy.set_route(route_to(server.address()));
  EXPECT_TRUE(client->send_all("still here"));
  EXPECT_EQ(client->read(10), "still here");
}

// A pause by the operator: sessions go on, new clients wait, and are served afterwards.
TEST(RouteChange, HoldingKeepsSessions) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto before = proxy.connect_greeted();
  ASSERT_TRUE(before);
  proxy.set_route(route_to(server.address(), Route::Mode::holding, 0, "paused by the operator"));
  auto after = proxy.connect();
  ASSERT_TRUE(after && proxy.eventually_held(1));
  EXPECT_TRUE(before->send_all("goes on"));
  EXPECT_EQ(before->read(7), "goes on");
  proxy.set_route(route_to(server.address()));
  EXPECT_EQ(after->read(greeting.size()), greeting);
}

// A planned change: the request that is under way is answered, the next one is not sent any more; then the
// change is called off, and the request that waited goes through.
TEST(RouteChange, DrainingDeliversRepliesAndHoldsRequests) {
  std::promise<void> first_request;
  std::promise<void> answer;
  const auto may_answer = answer.get_future().share();
  std::atomic<unsigned> requests = 0;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    peer.read(7);
    ++requests;
    first_request.set_value();
    may_answer.wait();
    peer.send_all("answer1");
    peer.read(7);
    ++requests;
    peer.send_all("answer2");
    peer.read_to_end();
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client && client->send_all("request"));
  first_request.get_future().wait();
  proxy.set_route(route_to(server.address(), Route::Mode::draining, 0, "switchover"));
  ASSERT_TRUE(client->send_all("another"));
  answer.set_value();
  EXPECT_EQ(client->read(7), "answer1");
  // The second request sits in the kernel: the relay has not read it, in as many iterations as this takes.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(proxy.sessions().at(0).bytes_from_client, 7u);
  EXPECT_EQ(requests, 1u);
  proxy.set_route(route_to(server.address()));
  EXPECT_EQ(client->read(7), "answer2");
  EXPECT_EQ(requests, 2u);
}

// Draining, then the server ends the session itself: the client sees it.
TEST(RouteChange, DrainingDeliversTheEnd) {
  std::promise<void> end;
  const auto may_end = end.get_future().share();
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    may_end.wait();
    peer.send_all("goodbye");
    peer.finish();
    peer.read_to_end();
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  proxy.set_route(route_to(server.address(), Route::Mode::draining));
  end.set_value();
  EXPECT_EQ(client->read_to_end(), "goodbye");
  EXPECT_EQ(client->end(), End::orderly);
  proxy.set_route(closed_route("switchover"));
  EXPECT_EQ(proxy.workers().counts().active, 0u);
}

// A client that was never greeted when draining begins waits for the next server instead.
TEST(RouteChange, DrainingTakesBackUngreetedClients) {
  ReservedPort slow;
  slow.listen();
  const TestServer successor(greet_as("successor"));
  ProxyUnderTest proxy;
  proxy.set_route(route_to(slow.address(), Route::Mode::open, 0));
  auto client = proxy.connect();
  ASSERT_TRUE(client && proxy.eventually_active(1));
  proxy.set_route(route_to(slow.address(), Route::Mode::draining, 0));
  EXPECT_TRUE(proxy.eventually_held(1));
  proxy.set_route(route_to(successor.address(), Route::Mode::open, 1));
  EXPECT_EQ(client->read(10), "successor\n");
}

// Routes change as fast as they can be set while clients come and go: every client gets a greeting or an end,
// `applied` is called for each change, and nothing is left at the end.
TEST(RouteChange, ManyChangesUnderLoad) {
  const TestServer first(greet_as("server1"));
  const TestServer second(greet_as("server2"));
  ProxyUnderTest proxy;
  std::atomic<bool> stop = false;
  std::atomic<unsigned> greeted = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        auto client = proxy.connect();
        ASSERT_TRUE(client);
        const auto got = client->read(8);
        EXPECT_NE(client->end(), End::silent);
        if (got == "server1\n" || got == "server2\n") ++greeted;
      }
    });
  }
  const std::vector<RoutePtr> routes{
      route_to(first.address(), Route::Mode::open, 0),
      closed_route("changing"),
      route_to(second.address(), Route::Mode::open, 1),
      route_to(second.address(), Route::Mode::draining, 1),
  };
  std::atomic<unsigned> applied = 0;
  unsigned changes = 0;
  while (changes < 400) {
    const unsigned before = greeted;
    const RoutePtr& route = routes[changes++ % routes.size()];
    proxy.workers().set_route(route, [&] { ++applied; });
    // An open route stays until somebody was served; the others are changed as fast as that goes.
    if (route->mode == Route::Mode::open) {
      EXPECT_TRUE(eventually([&] { return greeted > before; }));
    }
  }
  stop = true;
  proxy.set_route(route_to(second.address(), Route::Mode::open, 1));
  for (auto& client : clients) client.join();
  EXPECT_TRUE(eventually([&] { return applied == changes; }));
  proxy.set_route(closed_route("over"));
  EXPECT_EQ(proxy.workers().counts().active, 0u);
  EXPECT_EQ(proxy.workers().counts().held, 0u);
}

// Evidence: bytes from a server are stamped, for that server alone; bytes of clients are not.
TEST(Traffic, IsStampedPerBackend) {
  std::promise<void> again;
  const auto may_talk = again.get_future().share();
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    may_talk.wait();
    peer.send_all("more");
    peer.read_to_end();
  });
  ProxyUnderTest proxy;
  const core::BackendId backend{3};
  EXPECT_EQ(proxy.workers().last_traffic(backend), core::Instant::min());
  const auto began = io::now();
  proxy.set_route(route_to(server.address(), Route::Mode::open, 3));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  const auto greeted_at = proxy.workers().last_traffic(backend);
  EXPECT_GE(greeted_at, began - std::chrono::milliseconds(1));
  EXPECT_LE(greeted_at, io::now());
  client->send_all("a client talks into the void");
  ASSERT_TRUE(eventually([&] { return proxy.sessions().at(0).bytes_from_client > 0; }));
  EXPECT_EQ(proxy.workers().last_traffic(backend), greeted_at);
  // Another millisecond must have begun for the stamp to differ.
  ASSERT_TRUE(eventually([&] { return io::now() > greeted_at + std::chrono::milliseconds(2); }));
  again.set_value();
  EXPECT_EQ(client->read(4), "more");
  EXPECT_GT(proxy.workers().last_traffic(backend), greeted_at);
  EXPECT_EQ(proxy.workers().last_traffic(core::BackendId{0}), core::Instant::min());
}

}  // namespace
}  // namespace pointsman::proxy
