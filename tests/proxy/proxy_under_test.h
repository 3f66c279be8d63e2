#pragma once

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "health/io/address.h"
#include "proxy/workers.h"
#include "tests/proxy/peers.h"

namespace pointsman::proxy {

inline RoutePtr route_to(const io::Address& address, Route::Mode mode = Route::Mode::open,
                         unsigned backend = 0, std::string reason = {}) {
  auto route = std::make_shared<Route>();
  route->mode = mode;
  route->backend = core::BackendId{static_cast<std::uint16_t>(backend)};
  route->address = address.storage;
  route->address_length = address.length;
  route->reason = std::move(reason);
  return route;
}

inline RoutePtr closed_route(std::string reason) {
  auto route = std::make_shared<Route>();
  route->reason = std::move(reason);
  return route;
}

// The whole of these tests is run by io_uring and by epoll.
inline bool by_io_uring() {
  const char* by = std::getenv("POINTSMAN_TEST_RELAY_BY");
  return by == nullptr || std::string_view(by) != "epoll";
}

inline conf::Proxy quick_options() {
  conf::Proxy options;
  options.io_uring = by_io_uring();
  options.listen = {{"127.0.0.1", 0}};
  options.threads = 2;
  return options;
}

// Of this process.
inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

// Started Workers with what the tests ask of them. Stopping proves that each worker's loop closes cleanly.
class ProxyUnderTest {
 public:
  explicit ProxyUnderTest(const conf::Proxy& options = quick_options()) : workers_({.proxy = options}) {
    const auto started = workers_.start();
    EXPECT_TRUE(started) << started.error();
  }

  Workers& workers() { return workers_; }
  io::Address address() const { return *io::Address::numeric(workers_.listening().front()); }

  // Returns when every worker has acted on it.
  void set_route(RoutePtr route) {
    std::promise<void> applied;
    workers_.set_route(std::move(route), [&] { applied.set_value(); });
    ASSERT_EQ(applied.get_future().wait_for(patience), std::future_status::ready);
  }
  std::optional<Peer> connect() const { return Peer::connect(address()); }
  // Connects and reads the greeting.
  std::optional<Peer> connect_greeted(std::string_view expected = greeting) const {
    auto peer = connect();
    if (!peer || peer->read(expected.size()) != expected) return std::nullopt;
    return peer;
  }
  std::vector<SessionInfo> sessions(std::size_t limit = 10000) {
    std::promise<std::vector<SessionInfo>> listed;
    workers_.list_sessions(limit, [&](std::vector<SessionInfo> s) { listed.set_value(std::move(s)); });
    return listed.get_future().get();
  }
  bool eventually_held(std::uint64_t n) {
    return eventually([&] { return workers_.counts().held == n; });
  }
  bool eventually_ended(SessionEnd by, std::uint64_t n = 1) {
    return eventually([&] { return workers_.counts().ended[index(by)] == n; });
  }
  bool eventually_active(std::uint64_t n) {
    return eventually([&] { return workers_.counts().active == n; });
  }

 private:
  Workers workers_;
};

// An ERR packet as it comes before a greeting.
struct ErrorPacket {
  unsigned number = 0;
  std::string text;
};
inline std::optional<ErrorPacket> parse_error(const std::string& bytes) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  if (bytes.size() < 7 || byte(0) + byte(1) * 256 + byte(2) * 65536 != bytes.size() - 4 || byte(3) != 0 ||
      byte(4) != 0xff) {
    return std::nullopt;
  }
  return ErrorPacket{byte(5) + byte(6) * 256, bytes.substr(7)};
}

}  // namespace pointsman::proxy
