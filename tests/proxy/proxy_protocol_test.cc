#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "health/io/clock.h"
#include "proxy/introduction.h"
#include "proxy/mysql_packet.h"
#include "proxy/proxy_header.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

// Whom a session is for: told to the server, and told by those that we trust.
namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;
using proxy_header::Fault;

io::Address address(const char* host, std::uint16_t port) {
  return *io::Address::numeric({host, port});
}

std::string header_of(const io::Address& client) {
  const auto header = proxy_header::build(client, address("192.0.2.1", 3306));
  return {header.bytes().begin(), header.bytes().end()};
}
const std::string a_header = header_of(address("203.0.113.7", 4567));
const std::string local_header = std::string(proxy_header::signature) + std::string("\x20\0\0\0", 4);

// What greet_and_echo got, and so sends back, before the client said anything.
std::string told_to_server(Peer& client, std::size_t size) {
  const std::string got = client.read(size);
  const auto parsed = proxy_header::parse(got);
  if (!parsed) return proxy_header::to_string(parsed.error());
  if (parsed->missing > 0) return "cut off";
  return parsed->client ? parsed->client->to_string() : "nobody";
}

conf::Proxy telling() {
  auto options = quick_options();
  options.proxy_protocol = conf::ProxyProtocol::v2;
  return options;
}

// 127.0.0.1 is a balancer, 127.0.0.2 is anybody.
conf::Proxy trusting() {
  auto options = quick_options();
  options.proxy_protocol_from = {"127.0.0.1/32", "::1/128"};
  return options;
}

std::uint64_t refused(ProxyUnderTest& proxy, Fault fault) {
  return proxy.workers().counts().refused_headers[index(fault)];
}

// The server is told the client's address and port, before anything of the client's.
TEST(ProxyProtocol, TellsTheServer) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(telling());
  proxy.set_route(route_to(server.address()));
  auto client = Peer::connect(proxy.address(), address("127.0.0.2", 0));
  ASSERT_TRUE(client && client->send_all("login") && client->read(greeting.size()) == greeting);
  EXPECT_EQ(told_to_server(*client, 28), client->own_address().to_string());
  EXPECT_EQ(client->read(5), "login");
  EXPECT_EQ(proxy.sessions().at(0).client, client->own_address().to_string());
}

TEST(ProxyProtocol, TellsTheServerIpv6) {
  const TestServer server(greet_and_echo);
  auto options = telling();
  options.listen = {{"::1", 0}};
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  EXPECT_EQ(told_to_server(*client, 52), client->own_address().to_string());
}

// A server that takes the connection and ends it gets the header, and the next one too, once each.
TEST(ProxyProtocol, EachServerIsTold) {
  std::promise<std::string> told;
  const TestServer ends_at_once([&](Peer& peer) { told.set_value(peer.read(28)); });
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(telling());
  proxy.set_route(route_to(ends_at_once.address(), Route::Mode::open, 0));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  auto first = told.get_future();
  ASSERT_EQ(first.wait_for(patience), std::future_status::ready);
  proxy.set_route(route_to(server.address(), Route::Mode::open, 1));
  ASSERT_TRUE(client->send_all("x"));
  ASSERT_EQ(client->read(greeting.size()), greeting);
  const std::string second = client->read(29);
  EXPECT_EQ(second, first.get() + "x");
}

// A reload changes what new sessions do; those that are there go on.
TEST(ProxyProtocol, Reload) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(telling());
  proxy.set_route(route_to(server.address()));
  auto before = proxy.connect_greeted();
  ASSERT_TRUE(before && before->read(28).size() == 28u);
  proxy.workers().reconfigure(quick_options());
  auto after = proxy.connect_greeted();
  ASSERT_TRUE(after && after->send_all("plain") && before->send_all("still"));
  EXPECT_EQ(after->read(5), "plain");
  EXPECT_EQ(before->read(5), "still");
}

// A balancer's client: listed, and told on, as the one that the balancer named; what it sends behind the
// header arrives whole.
TEST(ProxyProtocol, BelievesTheTrusted) {
  const TestServer server(greet_and_echo);
  auto options = trusting();
  options.proxy_protocol = conf::ProxyProtocol::v2;
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client && client->send_all(a_header + "early"));
  ASSERT_EQ(client->read(greeting.size()), greeting);
  EXPECT_EQ(told_to_server(*client, 28), "203.0.113.7:4567");
  EXPECT_EQ(client->read(5), "early");
  EXPECT_EQ(proxy.sessions().at(0).client, "203.0.113.7:4567");
  EXPECT_TRUE(proxy.eventually_active(1));
}

// However the header comes, and of whichever family; a check of the balancer's own is for itself.
TEST(ProxyProtocol, BelievesInPieces) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(trusting());
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client);
  for (const char byte : header_of(address("fd00::7", 1))) {
    ASSERT_TRUE(client->send_all(std::string_view(&byte, 1)));
    std::this_thread::sleep_for(1ms);
  }
  ASSERT_TRUE(client->send_all("hello"));
  EXPECT_EQ(client->read(greeting.size() + 5), std::string(greeting) + "hello");
  EXPECT_EQ(proxy.sessions().at(0).client, "[fd00::7]:1");

  auto check = proxy.connect();
  ASSERT_TRUE(check && check->send_all(local_header) && check->read(greeting.size()) == greeting);
  EXPECT_EQ(proxy.sessions().at(1).client, check->own_address().to_string());
}

// No primary: it is held like any other, from its accept on.
TEST(ProxyProtocol, IsHeldOnceItIsKnown) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(trusting());
  proxy.set_route(closed_route("failing over"));
  auto client = proxy.connect();
  ASSERT_TRUE(client && client->send_all(a_header) && proxy.eventually_held(1));
  proxy.set_route(route_to(server.address()));
  EXPECT_EQ(client->read(greeting.size()), greeting);
}

struct Beginning {
  std::string bytes;
  Fault fault;
};

// Whatever else a trusted peer begins with: told why, counted by its reason, and gone.
TEST(ProxyProtocol, WrongBeginnings) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(trusting());
  proxy.set_route(route_to(server.address()));
  std::string too_long = a_header;
  too_long[14] = '\x10';
  too_long[15] = '\x01';
  std::string udp = a_header;
  udp[13] = '\x12';
  const std::vector<Beginning> beginnings{
      {"GET / HTTP/1.1\r\nHost: db\r\n\r\n", Fault::absent},
      {std::string("\x16\x03\x01\x02\x00\x01", 6), Fault::absent},
      {"PROXY TCP4 203.0.113.7 192.0.2.1 4567 3306\r\n", Fault::version_1},
      {udp, Fault::broken},
      {too_long, Fault::too_long},
  };
  for (const auto& [bytes, fault] : beginnings) {
    const auto before = refused(proxy, fault);
    auto client = proxy.connect();
    ASSERT_TRUE(client && client->send_all(bytes));
    const auto error = parse_error(client->read_to_end());
    ASSERT_TRUE(error) << proxy_header::to_string(fault);
    EXPECT_EQ(error->number, mysql_packet::bad_handshake);
    EXPECT_EQ(error->text, std::string("pointsman: ") + proxy_header::to_string(fault));
    EXPECT_EQ(refused(proxy, fault), before + 1);
  }
  EXPECT_EQ(server.accepted(), 0u);
  EXPECT_TRUE(proxy.sessions().empty());
}

// One that says nothing, and one that says a byte now and then: both end at the limit, others are served
// meanwhile.
TEST(ProxyProtocol, LateIsTooLate) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(trusting());
  proxy.set_route(route_to(server.address()));
  const auto began = io::now();
  auto silent = proxy.connect();
  auto slow = proxy.connect();
  ASSERT_TRUE(silent && slow);
  auto drips = std::async(std::launch::async, [&] {
    for (const char byte : a_header) {
      if (!slow->send_all(std::string_view(&byte, 1))) break;
      std::this_thread::sleep_for(200ms);
    }
  });
  auto other = proxy.connect();
  ASSERT_TRUE(other && other->send_all(a_header));
  EXPECT_EQ(other->read(greeting.size()), greeting);
  const auto error = parse_error(silent->read_to_end());
  EXPECT_GE(io::now() - began, Introduction::limit);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->text, "pointsman: the PROXY protocol header did not come in time");
  EXPECT_TRUE(parse_error(slow->read_to_end()));
  drips.get();
  EXPECT_EQ(refused(proxy, Fault::late), 2u);
}

// Balancers look whether we listen by a connection that they end: no refusal, and its place is free again.
TEST(ProxyProtocol, ThoseThatLeaveAreNotCounted) {
  auto options = trusting();
  options.max_connections = 1;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  {
    auto looks = proxy.connect();
    ASSERT_TRUE(looks && eventually([&] { return proxy.workers().counts().total == 1; }));
    // It counts as a client as long as it is there.
    auto second = proxy.connect();
    ASSERT_TRUE(second);
    EXPECT_EQ(parse_error(second->read_to_end()).value_or(ErrorPacket{}).number, 1040u);
    ASSERT_TRUE(looks->send_all(a_header.substr(0, 20)));
  }
  ASSERT_TRUE(eventually([&] {
    auto client = proxy.connect();
    return client && client->send_all(a_header) && client->read(greeting.size()) == greeting;
  }));
  for (const auto count : proxy.workers().counts().refused_headers) EXPECT_EQ(count, 0u);
}

// Somebody who is not trusted claims to be another: the server never sees the claim, at once or in pieces.
TEST(ProxyProtocol, NobodyElseMay) {
  std::promise<std::string> server_got;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    server_got.set_value(peer.read_to_end());
  });
  ProxyUnderTest proxy(trusting());
  proxy.set_route(route_to(server.address()));
  auto client = Peer::connect(proxy.address(), address("127.0.0.2", 0));
  ASSERT_TRUE(client && client->read(greeting.size()) == greeting && client->send_all(a_header));
  const std::string answer = client->read_to_end();
  ASSERT_GE(answer.size(), 7u);
  EXPECT_EQ(answer[3], '\2') << "the answer to packet 1, the login";
  EXPECT_EQ(answer.substr(7), std::string("pointsman: ") + proxy_header::to_string(Fault::untrusted));
  EXPECT_EQ(server_got.get_future().get(), "");
  EXPECT_EQ(refused(proxy, Fault::untrusted), 1u);
  EXPECT_TRUE(proxy.eventually_active(0));
}

TEST(ProxyProtocol, NobodyElseMayInPieces) {
  std::atomic<std::size_t> server_got = 0;
  const TestServer server([&](Peer& peer) {
    peer.send_all(greeting);
    server_got += peer.read_to_end().size();
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  for (const std::string& claim : {a_header, std::string("PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n")}) {
    auto client = proxy.connect_greeted();
    ASSERT_TRUE(client);
    for (const char byte : claim) {
      if (!client->send_all(std::string_view(&byte, 1))) break;
      std::this_thread::sleep_for(2ms);
    }
    EXPECT_LT(client->read_to_end().size(), 200u);
  }
  EXPECT_TRUE(proxy.eventually_active(0));
  EXPECT_LE(server_got, 2 * (proxy_header::telling_bytes - 1));
  EXPECT_EQ(refused(proxy, Fault::untrusted), 2u);
}

// Not even a trusted one may claim twice.
TEST(ProxyProtocol, NotTwice) {
  const TestServer server(greet_as("server"));
  ProxyUnderTest proxy(trusting());
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect();
  ASSERT_TRUE(client && client->send_all(a_header + a_header));
  EXPECT_THAT(client->read_to_end(), testing::EndsWith("not in proxy.proxy_protocol_from"));
  EXPECT_EQ(refused(proxy, Fault::untrusted), 1u);
}

// Who is trusted is read again; those that are there stay what they are.
TEST(ProxyProtocol, ReloadOfTheTrusted) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  auto before = proxy.connect_greeted();
  ASSERT_TRUE(before);
  proxy.workers().reconfigure(trusting());
  ASSERT_TRUE(eventually([&] {  // each worker takes it in its next iteration
    auto client = proxy.connect();
    return client && client->send_all("x") && client->read(5).ends_with('\xff');
  }));
  EXPECT_TRUE(before->send_all("still"));
  EXPECT_EQ(before->read(5), "still");
}

// The daemon ends while some have not said who they are.
TEST(ProxyProtocol, StopWithIntroductionsUnderWay) {
  std::vector<Peer> clients;
  {
    ProxyUnderTest proxy(trusting());
    for (int i = 0; i < 8; ++i) {
      auto client = proxy.connect();
      ASSERT_TRUE(client);
      clients.push_back(std::move(*client));
    }
    ASSERT_TRUE(eventually([&] { return proxy.workers().counts().total == 8; }));
  }
  for (auto& client : clients) {
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_NE(client.end(), Peer::End::silent);
  }
}

}  // namespace
}  // namespace pointsman::proxy
