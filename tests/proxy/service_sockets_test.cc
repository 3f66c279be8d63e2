#include "proxy/service_sockets.h"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "proxy/sockets.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

// Listening sockets that change hands while clients come.
namespace pointsman::proxy {
namespace {

std::vector<ServiceSocket> copies_of(const Workers& workers) {
  std::vector<ServiceSocket> copies;
  for (const auto& socket : workers.sockets()) {
    copies.push_back({.entry = socket.entry,
                      .address = socket.address,
                      .socket = io::Descriptor(fcntl(socket.socket.get(), F_DUPFD_CLOEXEC, 0)),
                      .shared = socket.shared,
                      .listening = true});
  }
  return copies;
}

conf::Proxy with_threads(unsigned threads) {
  conf::Proxy options = quick_options();
  options.threads = threads;
  return options;
}

// Each next owner has another number of workers. Every socket lives on in it, those of more workers than
// sockets are new ones, and no client of a storm is refused.
TEST(ServiceSockets, GoFromOneOwnerToTheNext) {
  const TestServer server(greet_and_echo);
  auto owner = std::make_unique<Workers>(Workers::Options{.proxy = with_threads(2)});
  ASSERT_TRUE(owner->start());
  owner->set_route(route_to(server.address()));
  const auto address = *io::Address::numeric(owner->listening().front());
  std::atomic<bool> stop = false;
  std::atomic<unsigned> refused = 0;
  std::vector<std::thread> storm;
  for (int i = 0; i < 3; ++i) {
    storm.emplace_back([&] {
      while (!stop) {
        auto client = Peer::connect(address);
        if (!client || client->read(greeting.size()) != greeting) ++refused;
      }
    });
  }
  std::vector<std::unique_ptr<Workers>> former;
  std::size_t sockets = 2;
  for (const unsigned threads : {1U, 4U, 3U, 2U}) {
    auto next = std::make_unique<Workers>(Workers::Options{.proxy = with_threads(threads)});
    auto given = copies_of(*owner);
    const auto bound = next->bind(given);
    ASSERT_TRUE(bound) << bound.error();
    EXPECT_TRUE(given.empty());
    next->set_route(route_to(server.address()));
    ASSERT_TRUE(next->run());
    sockets = std::max<std::size_t>(sockets, threads);
    EXPECT_EQ(next->sockets().size(), sockets);
    owner->stop_accepting();
    former.push_back(std::exchange(owner, std::move(next)));
    EXPECT_TRUE(eventually([&] { return owner->counts().total > 100; }));
  }
  stop = true;
  for (auto& thread : storm) thread.join();
  EXPECT_EQ(refused, 0U);
}

// What is bound for a start that may yet fail takes no client.
TEST(ServiceSockets, NobodyIsKeptWaitingBeforeTheStart) {
  Workers workers({.proxy = quick_options()});
  std::vector<ServiceSocket> nothing;
  ASSERT_TRUE(workers.bind(nothing));
  EXPECT_FALSE(Peer::connect(*io::Address::numeric(workers.listening().front())));
}

// An address of another kind, and one that nobody wants, are left to the caller.
TEST(ServiceSockets, WhatFitsNoAddressIsLeft) {
  Workers other({.proxy = quick_options()});
  ASSERT_TRUE(other.start());
  auto given = copies_of(other);
  for (auto& socket : given) socket.entry.clear();
  Workers workers({.proxy = quick_options()});
  ASSERT_TRUE(workers.bind(given));
  EXPECT_EQ(given.size(), 2U);
}

// Sessions of an address that is removed go on; one that is taken leaves everything as it was.
TEST(ServiceSockets, Relisten) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto session = proxy.connect_greeted();
  ASSERT_TRUE(session);
  const auto first = proxy.address();

  conf::Proxy options = quick_options();
  options.listen = {conf::HostPort{server.address().host_port().host, server.address().port()}};
  EXPECT_FALSE(proxy.workers().relisten(options));
  options.listen = {{"no.such.name.example", 3306}};
  const auto name = proxy.workers().relisten(options);
  ASSERT_FALSE(name);
  EXPECT_NE(name.error().find("takeover"), std::string::npos) << name.error();
  EXPECT_TRUE(proxy.connect_greeted());

  options.listen = {{"127.0.0.1", 0}, {"127.0.0.2", 0}};
  ASSERT_TRUE(proxy.workers().relisten(options));
  ASSERT_EQ(proxy.workers().listening().size(), 2U);
  EXPECT_EQ(proxy.address().host_port(), first.host_port());
  auto second = Peer::connect(*io::Address::numeric(proxy.workers().listening().back()));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->read(greeting.size()), greeting);

  options.listen = {{"127.0.0.2", 0}};
  ASSERT_TRUE(proxy.workers().relisten(options));
  std::promise<void> acted;
  proxy.workers().when_acted([&] { acted.set_value(); });
  acted.get_future().wait();
  EXPECT_FALSE(Peer::connect(first));
  ASSERT_TRUE(session->send_all("still here"));
  EXPECT_EQ(session->read(10), "still here");
}

// Who waits for a server when everything ends is told so.
TEST(ServiceSockets, HeldClientIsToldOfTheEnd) {
  auto workers = std::make_unique<Workers>(Workers::Options{.proxy = quick_options()});
  ASSERT_TRUE(workers->start());
  auto client = Peer::connect(*io::Address::numeric(workers->listening().front()));
  ASSERT_TRUE(client);
  EXPECT_TRUE(eventually([&] { return workers->counts().held == 1; }));
  workers->stop();
  const auto error = parse_error(client->read_to_end());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->number, 1053U);
}

}  // namespace
}  // namespace pointsman::proxy
