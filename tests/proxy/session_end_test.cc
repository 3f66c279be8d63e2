// Each session ends by something that is counted, and none takes its place for ever.
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

conf::Proxy impatient() {
  auto options = quick_options();
  options.login_timeout = 300ms;
  return options;
}

// An ERR packet in the place of the answer to a login says 1159.
bool tells_timeout(const std::string& bytes) {
  return bytes.size() > 7 && bytes[3] == 2 && bytes[4] == '\xff' &&
         static_cast<unsigned char>(bytes[5]) + 256 * static_cast<unsigned char>(bytes[6]) == 1159 &&
         bytes.find("no login within 0.3s") != std::string::npos;
}

// It opens a connection and says nothing. Who has logged in is not concerned.
TEST(SessionEnds, ClientThatNeverSpeaks) {
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(impatient());
  proxy.set_route(route_to(server.address()));
  auto well = proxy.connect_greeted();
  ASSERT_TRUE(well && well->send_all("login") && well->read(5) == "login");
  auto mute = proxy.connect_greeted();
  ASSERT_TRUE(mute);
  EXPECT_TRUE(tells_timeout(mute->read_to_end()));
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::login_timeout));
  std::this_thread::sleep_for(400ms);
  EXPECT_TRUE(well->send_all("still there") && well->read(11) == "still there");
  EXPECT_TRUE(proxy.eventually_active(1));
}

// A byte now and then, to a server that waits for the whole login.
TEST(SessionEnds, ClientThatDrips) {
  const TestServer server([](Peer& peer) {
    if (peer.send_all(greeting)) peer.read(1000);
  });
  ProxyUnderTest proxy(impatient());
  proxy.set_route(route_to(server.address()));
  auto slow = proxy.connect_greeted();
  ASSERT_TRUE(slow);
  int sent = 0;
  while (proxy.workers().counts().ended[index(SessionEnd::login_timeout)] == 0 && slow->send_all("x")) {
    ASSERT_LT(++sent, 900);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_GT(sent, 2);
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::login_timeout));
}

TEST(SessionEnds, ZeroIsNoLimit) {
  auto options = impatient();
  options.login_timeout = 0ms;
  const TestServer server(greet_and_echo);
  ProxyUnderTest proxy(options);
  proxy.set_route(route_to(server.address()));
  auto client = proxy.connect_greeted();
  ASSERT_TRUE(client);
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(client->send_all("late") && client->read(4) == "late");
}

// Who ended it is told apart.
TEST(SessionEnds, ByWhom) {
  const TestServer server([](Peer& peer) {
    if (!peer.send_all(greeting)) return;
    const std::string order = peer.read(1);
    if (order == "r") peer.reset();
    if (order == "w") peer.read(1);
  });
  ProxyUnderTest proxy;
  proxy.set_route(route_to(server.address()));
  const auto client = [&](const char* order) {
    auto peer = proxy.connect_greeted();
    EXPECT_TRUE(peer && peer->send_all(order));
    return std::move(*peer);
  };
  client("w").close();
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::client));
  auto left = client("e");
  EXPECT_EQ(left.read_to_end(), "");
  left.close();
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::server));
  client("w").reset();
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::client_lost));
  auto lost = client("r");
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::server_lost));
  auto former = client("w");
  ASSERT_TRUE(proxy.eventually_active(1));
  proxy.set_route(closed_route("failover"));
  EXPECT_TRUE(proxy.eventually_ended(SessionEnd::route));
}

}  // namespace
}  // namespace pointsman::proxy
