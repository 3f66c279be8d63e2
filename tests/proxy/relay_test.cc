#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "proxy/worker.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

using End = Peer::End;
constexpr std::size_t mib = std::size_t{1} << 20;

// A client sends 16 MiB in pieces of all sizes while the echo comes back: every byte arrives, in order, once.
TEST(Relay, ManyBytesBothWays) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  const std::string sent = pattern(16 * mib, 1);
  std::thread sender([&] {
    std::size_t at = 0;
    for (std::size_t piece = 1; at < sent.size(); piece = piece * 7 % 300'007 + 1) {
      const std::size_t n = std::min(piece, sent.size() - at);
      if (!client->send_all({sent.data() + at, n})) return;
      at += n;
    }
    client->finish();
  });
  const std::string received = client->read_to_end();
  sender.join();
  EXPECT_EQ(client->end(), End::orderly);
  EXPECT_TRUE(received == sent) << received.size() << " bytes of " << sent.size();
  EXPECT_TRUE(proxy.eventually_active(0));
}

// Many clients at once on two workers, each with its own bytes.
TEST(Relay, SessionsDoNotMix) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  std::vector<std::thread> clients;
  for (std::uint64_t i = 0; i < 16; ++i) {
    clients.emplace_back([&, i] {
      auto client = proxy.connect_greeted();
      ASSERT_TRUE(client);
      for (int round = 0; round < 50; ++round) {
        const auto sent =
            pattern(1 + static_cast<std::size_t>(round) * 997, i * 1000 + static_cast<std::uint64_t>(round));
        ASSERT_TRUE(client->send_all(sent));
        ASSERT_TRUE(client->read(sent.size()) == sent);
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_TRUE(proxy.eventually_active(0));
  EXPECT_EQ(proxy.workers().counts().total, 16u);
}

// A server pours out 256 MiB and the client does not read: the relay stops reading from the server instead of
// storing what it says; when the client reads again, everything arrives.
TEST(Relay, SlowReaderStopsTheSource) {
  constexpr std::size_t total = 256 * mib;
  std::atomic<std::size_t> poured = 0;
  const TestServer server([&](Peer& peer) {
    const std::string chunk = pattern(mib, 7);
    while (poured < total && peer.send_all(chunk)) poured += mib;
    peer.finish();
    peer.read_to_end();
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  const auto resident_before = resident_bytes();
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  // The source comes to a halt: what it could pour does not grow any more while the loop has time to take it.
  std::size_t last = 0;
  int unchanged = 0;
  ASSERT_TRUE(eventually([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::size_t now = poured;
    unchanged = now == last && now > 0 ? unchanged + 1 : 0;
    last = now;
    return unchanged == 40;
  }));
  EXPECT_LT(last, total / 2);  // the kernel's four socket buffers, a few MiB each at most
  // The relay's own share is one read buffer; the margin is for the test's own threads and the sanitizers.
  EXPECT_LT(resident_bytes(), resident_before + 32 * mib);
  std::size_t received = 0;
  const std::string expected = pattern(mib, 7);
  while (received < total) {
    const auto got = client->read(mib);
    ASSERT_TRUE(got == expected) << "at " << received;
    received += got.size();
  }
  EXPECT_EQ(client->read(1), "");
  EXPECT_EQ(client->end(), End::orderly);
}

// The same the other way: the server does not read what the client pours.
TEST(Relay, SlowServerStopsTheClient) {
  std::promise<void> read_now;
  const auto may_read = read_now.get_future().share();
  std::promise<std::string> got;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    may_read.wait();
    got.set_value(peer.read_to_end());
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  const std::string sent = pattern(32 * mib, 3);
  std::atomic<bool> done = false;
  std::thread sender([&] {
    client->send_all(sent);
    client->finish();
    done = true;
  });
  ASSERT_TRUE(
      eventually([&] { return !proxy.sessions().empty() && proxy.sessions()[0].bytes_from_client > 0; }));
  read_now.set_value();
  EXPECT_TRUE(got.get_future().get() == sent);
  sender.join();
}

// The client ends its direction first: the server reads the end, still answers, and ends too.
TEST(Relay, HalfCloseByTheClient) {
  const TestServer server([](Peer& peer) {
    peer.send_all(greeting);
    const auto request = peer.read_to_end();
    EXPECT_EQ(peer.end(), End::orderly);
    peer.send_all("answer to " + request);
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  client->send_all("request");
  client->finish();
  EXPECT_EQ(client->read_to_end(), "answer to request");
  EXPECT_EQ(client->end(), End::orderly);
  EXPECT_TRUE(proxy.eventually_active(0));
}

// The server ends its direction first: the client reads the end, and what it still sends arrives.
TEST(Relay, HalfCloseByTheServer) {
  std::promise<std::string> heard;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    peer.finish();
    heard.set_value(peer.read_to_end());
    EXPECT_EQ(peer.end(), End::orderly);
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  EXPECT_EQ(client->read_to_end(), "");
  EXPECT_EQ(client->end(), End::orderly);
  const auto sent = pattern(3 * mib, 5);
  EXPECT_TRUE(client->send_all(sent));
  client->finish();
  EXPECT_TRUE(heard.get_future().get() == sent);
  EXPECT_TRUE(proxy.eventually_active(0));
}

// The client breaks off: the server sees a reset, not an orderly end.
TEST(Relay, ResetByTheClient) {
  std::promise<End> seen;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    peer.read_to_end();
    seen.set_value(peer.end());
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  client->reset();
  EXPECT_EQ(seen.get_future().get(), End::reset);
  EXPECT_TRUE(proxy.eventually_active(0));
}

// The same when it has not read what the server pours: of the send that waits and the read that waits either
// may learn of the reset, and then the other does not.
TEST(Relay, ResetByAClientThatLags) {
  for (unsigned i = 0; i < 20; ++i) {
    std::atomic<std::size_t> poured = 0;
    const TestServer server([&](Peer& peer) {
      const std::string chunk = pattern(mib, 7);
      while (peer.send_all(chunk)) poured += mib;
    });
    ProxyUnderTest proxy;
    proxy.set_route(route_to(server.address()));
    auto client = proxy.connect();
    ASSERT_TRUE(client);
    client->read_little_at_a_time();
    std::size_t last = 0;
    ASSERT_TRUE(eventually([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const std::size_t now = poured;
      return now == std::exchange(last, now) && now > 0;
    }));
    client->reset();
    ASSERT_TRUE(proxy.eventually_ended(SessionEnd::client_lost));
  }
}

// The other way: the server closes on what a client goes on sending. The client has the server's last words
// at once and does not keep its place until the limit for connections that are closed on one side.
TEST(Relay, ServerThatClosesOnAClientThatGoesOn) {
  for (unsigned i = 0; i < 20; ++i) {
    const TestServer server([](Peer& peer) {
      peer.send_all(greeting);
      peer.read(1);
      peer.send_all("goodbye");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      peer.close();  // with something unread: a reset
    });
    ProxyUnderTest proxy;
    proxy.set_route(route_to(server.address()));
    auto client = proxy.connect_greeted();
    ASSERT_TRUE(client);
    for (unsigned sent = 0; sent < 200 && client->send_all("."); ++sent)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    client->close();
    const auto closed = std::chrono::steady_clock::now();
    ASSERT_TRUE(proxy.eventually_active(0));
    ASSERT_LT(std::chrono::steady_clock::now() - closed, std::chrono::seconds(15)) << "the limit is 30 s";
  }
}

// The server breaks off an idle session: the client sees a reset.
TEST(Relay, ResetByTheServer) {
  const TestServer server([](Peer& peer) {
    peer.send_all(greeting);
    peer.read(1);
    peer.reset();
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  client->send_all("x");
  EXPECT_EQ(client->read_to_end(), "");
  EXPECT_EQ(client->end(), End::reset);
  EXPECT_TRUE(proxy.eventually_active(0));
}

// The server says why and closes while the client's next request is under way, which the kernel answers with
// a reset: the client still gets the server's last words.
TEST(Relay, LastWordsOfTheServerArrive) {
  const std::string words = pattern(1000, 9);
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    peer.read(1);
    peer.send_all(words);  // and closes with the rest of the request unread
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  client->send_all("request");
  EXPECT_TRUE(client->read(words.size()) == words);
  client->read_to_end();
  EXPECT_NE(client->end(), End::silent);
  EXPECT_TRUE(proxy.eventually_active(0));
}

// Urgent data is data. A read stops at it though more bytes are there, of which the kernel does not tell
// again.
TEST(Relay, UrgentDataHidesNothing) {
  std::promise<void> greet_now;
  const auto may_greet = greet_now.get_future().share();
  std::promise<std::string> heard;
  const TestServer server([&](Peer& peer) {
    may_greet.wait();
    peer.send_all(greeting);
    heard.set_value(peer.read(11));
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  // All of it before the relay begins to read, which it does when the server has greeted.
  EXPECT_TRUE(client->send_all("01234"));
  EXPECT_EQ(::send(client->fd(), "!", 1, MSG_OOB), 1);
  EXPECT_TRUE(client->send_all("56789"));
  greet_now.set_value();
  EXPECT_EQ(heard.get_future().get(), "01234!56789");
}

// More of it than the ring tries a read that finds nothing.
TEST(Relay, UrgentDataAndNothingElse) {
  constexpr std::size_t many = 1000;
  std::promise<std::string> heard;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    heard.set_value(peer.read(many));
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  for (std::size_t i = 0; i < many; ++i) ASSERT_EQ(::send(client->fd(), "!", 1, MSG_OOB), 1);
  EXPECT_EQ(heard.get_future().get(), std::string(many, '!'));
}

// A session that nothing happens on costs a few hundred bytes, whatever went through it.
TEST(Relay, IdleSessionsAreSmall) {
  RecordProperty("sizeof_session", sizeof(Session));
  RecordProperty("sizeof_server_side", sizeof(ServerSide));
  EXPECT_LE(sizeof(Session) + sizeof(ServerSide), 512u) << sizeof(Session) << " + " << sizeof(ServerSide);
}

}  // namespace
}  // namespace pointsman::proxy
