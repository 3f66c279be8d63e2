// Servers that take no PROXY protocol header, while the proxy sends it.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

std::ptrdiff_t warned_of(Scenario& world, const std::string& name) {
  return std::ranges::count_if(world.core().warnings(), [&](const std::string& text) {
    return text.starts_with("no clients for " + name + ": ");
  });
}

// Each is warned of, also the replica that would be next, until it takes them or the proxy sends none.
TEST(ProxyHeader, ServersThatTakeNoneAreWarnedOf) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.proxy.proxy_protocol = conf::ProxyProtocol::v2; };
  Scenario world(options);
  world.run_for(1s);
  EXPECT_EQ(warned_of(world, "db1"), 1);
  EXPECT_EQ(warned_of(world, "db2"), 1);
  world.server(0).takes_proxy_header = true;
  world.run_for(1s);
  EXPECT_EQ(warned_of(world, "db1"), 0);
  EXPECT_EQ(warned_of(world, "db2"), 1);
  world.reconfigure([](conf::Config& c) { c.proxy.proxy_protocol = conf::ProxyProtocol::off; });
  EXPECT_EQ(warned_of(world, "db2"), 0);
}

// What the operator has to do about it, by the kind of server.
TEST(ProxyHeader, Why) {
  ServerReport report;
  report.flavour = Flavour::mariadb;
  EXPECT_NE(why_no_proxy_header(report).find("set its proxy_protocol_networks"), std::string::npos);
  report.takes_proxy_header = true;
  EXPECT_EQ(why_no_proxy_header(report), "");
  report = ServerReport{};
  report.flavour = Flavour::mysql;
  EXPECT_NE(why_no_proxy_header(report).find("MySQL has no PROXY protocol"), std::string::npos);
}

}  // namespace
}  // namespace pointsman::sim
