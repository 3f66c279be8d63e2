#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/hosts_world.h"
#include "tests/proxy/metrics_scrape.h"

// The metrics of a whole installation, as Prometheus sees them.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using proxy::Scrape;

class MetricsWorld : public HostsTest {
 protected:
  // No network namespaces: Prometheus and this test are on the proxy's host. So it needs no root.
  void SetUp() override {
    auto picked = testbed::PortLease::pick();
    ASSERT_TRUE(picked) << picked.error();
    port_ = std::move(*picked);
  }
  void start(Hosts::Options options) {
    options.network = false;
    options.daemon_keys["admin"]["metrics"] = "\"127.0.0.1:" + std::to_string(port_.number()) + "\"";
    HostsTest::start(std::move(options));
  }

  Scrape scrape() { return proxy::scrape(port_.number()); }
  // The scrape for which `wanted` holds.
  Scrape wait(const std::function<bool(const Scrape&)>& wanted, const std::string& what) {
    const auto until = std::chrono::steady_clock::now() + soon;
    Scrape seen = scrape();
    while (!wanted(seen) && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(20ms);
      seen = scrape();
    }
    EXPECT_TRUE(wanted(seen)) << what << " did not come\n" << seen.body;
    return seen;
  }
  Scrape wait_value(const std::string& series, double wanted) {
    return wait([&](const Scrape& seen) { return seen.value(series) == wanted; }, series);
  }

  testbed::PortLease port_;
};

class Metrics : public MetricsWorld, public testing::WithParamInterface<Product> {};
INSTANTIATE_TEST_SUITE_P(Each, Metrics, testing::Values(Product::mariadb, Product::mysql), product_name);

// Two servers with agents, a writer through the proxy, a killed primary. Before, the metrics show the order
// of things; afterwards the failover with its steps, and the other one as primary. What status says, they say
// too.
TEST_P(Metrics, OneFailover) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam()}));
  const auto writer = write_through();
  Scrape s = wait_value("pointsman_sessions_active", 1);
  EXPECT_EQ(proxy::promtool("check metrics", s.body), "");
  EXPECT_EQ(s.value("pointsman_state{state=\"steady\"}"), 1);
  EXPECT_EQ(s.value("pointsman_route_open"), 1);
  EXPECT_EQ(s.value("pointsman_automatic_failover"), 1);
  EXPECT_EQ(s.value("pointsman_warnings"), 0);
  EXPECT_EQ(s.value("pointsman_epoch"), at_first_["epoch"].get<double>());
  EXPECT_LT(s.value("pointsman_snapshot_age_seconds").value_or(100), 10);
  for (const std::string db : {"db1", "db2"}) {
    EXPECT_EQ(s.value("pointsman_backend_verdict{backend=\"" + db + "\",verdict=\"up\"}"), 1);
    EXPECT_EQ(s.value("pointsman_backend_probe_ok{backend=\"" + db + "\"}"), 1);
    EXPECT_GT(s.value("pointsman_backend_probe_latency_seconds_count{backend=\"" + db + "\"}").value_or(0),
              0);
    for (const std::string link : {"udp", "serial"}) {
      const std::string labels = "{backend=\"" + db + "\",link=\"" + link + "\"";
      EXPECT_GT(s.value("pointsman_link_received_frames_total" + labels + "}").value_or(0), 0);
      EXPECT_GT(s.value("pointsman_link_sent_frames_total" + labels + "}").value_or(0), 0);
      EXPECT_GT(s.value("pointsman_link_longest_gap_seconds" + labels + "}").value_or(0), 0);
      EXPECT_GE(s.value("pointsman_link_age_seconds" + labels + "}").value_or(-1), 0);
    }
    EXPECT_GT(s.value("pointsman_serial_received_bytes_total{backend=\"" + db + "\"}").value_or(0), 0);
    EXPECT_EQ(s.value("pointsman_agent_mysqld_state{backend=\"" + db + "\",state=\"answers\"}"), 1);
  }
  EXPECT_EQ(s.value("pointsman_backend_role{backend=\"db1\",role=\"primary\"}"), 1);
  EXPECT_EQ(s.value("pointsman_backend_role{backend=\"db2\",role=\"replica\"}"), 1);
  EXPECT_EQ(s.value("pointsman_backend_read_only{backend=\"db1\"}"), 0);
  EXPECT_EQ(s.value("pointsman_backend_read_only{backend=\"db2\"}"), 1);
  EXPECT_EQ(s.value("pointsman_backend_replication_running{backend=\"db2\",thread=\"sql\"}"), 1);
  EXPECT_TRUE(s.value("pointsman_backend_replication_lag_seconds{backend=\"db2\"}"));
  EXPECT_FALSE(s.value("pointsman_backend_replication_lag_seconds{backend=\"db1\"}"));
  EXPECT_EQ(s.value("pointsman_agent_lease_held{backend=\"db1\"}"), 1);
  EXPECT_EQ(s.value("pointsman_agent_lease_held{backend=\"db2\"}"), 0);
  const double to_server = s.value("pointsman_relayed_bytes_total{direction=\"to_server\"}").value_or(0);
  EXPECT_GT(to_server, 0);
  EXPECT_GT(s.value("pointsman_relayed_bytes_total{direction=\"to_client\"}").value_or(0), 0);
  EXPECT_EQ(s.value("pointsman_failovers_total{outcome=\"done\"}"), 0);

  db(0).kill();
  expect_failover("crashed");
  expect_writes(*writer);
  s = wait_value("pointsman_failovers_total{outcome=\"done\"}", 1);
  EXPECT_EQ(proxy::promtool("check metrics", s.body), "");
  s = wait_value("pointsman_backend_role{backend=\"db2\",role=\"primary\"}", 1);
  s = wait_value("pointsman_backend_verdict{backend=\"db1\",verdict=\"crashed\"}", 1);
  EXPECT_EQ(s.value("pointsman_backend_verdict{backend=\"db1\",verdict=\"up\"}"), 0);
  EXPECT_EQ(s.value("pointsman_backend_probe_ok{backend=\"db1\"}"), 0);
  EXPECT_FALSE(s.value("pointsman_backend_read_only{backend=\"db1\"}")) << "nobody can say";
  EXPECT_EQ(s.value("pointsman_agent_mysqld_state{backend=\"db1\",state=\"exited\"}"), 1);
  EXPECT_GT(s.value("pointsman_epoch").value_or(0), at_first_["epoch"].get<double>());
  EXPECT_EQ(s.value("pointsman_events_total{kind=\"failover\"}"), 1);
  const json event = world_.last_event("failover");
  EXPECT_NEAR(s.value("pointsman_last_change_duration_seconds{kind=\"failover\"}").value_or(-1),
              event["total_ms"].get<double>() / 1000, 0.001);
  for (const json& step : event["steps"]) {
    const std::string name = step["name"];
    EXPECT_NEAR(
        s.value("pointsman_last_change_step_duration_seconds{kind=\"failover\",step=\"" + name + "\"}")
            .value_or(-1),
        step["ms"].get<double>() / 1000, 0.001)
        << name;
  }
  EXPECT_GT(s.value("pointsman_holds_total").value_or(0) + s.value("pointsman_sessions_total").value_or(0),
            1);
  writer->stop();

  ASSERT_TRUE(hosts_->start_host(0));
  expect_back_as_replica(false);
  wait_value("pointsman_backend_probe_ok{backend=\"db1\"}", 1);
}

// An agent stands still for longer than warntime and less than deadtime: its next frame is counted as late,
// in status and metrics alike, and the longest gap is known. Its serial line is cut: frames are lost.
TEST_F(MetricsWorld, LateFrames) {
  ASSERT_NO_FATAL_FAILURE(
      start({.times = {.deadtime = testbed::Millis(30000), .lease = testbed::Millis(20000)}}));
  const auto link = [](const json& status) { return status["backends"][1]["links"]["udp"]; };
  const auto before = link(status())["late_frames"].get<std::uint64_t>();
  ASSERT_TRUE(agent(1).freeze());
  wait_link(1, "udp", "late");
  ASSERT_TRUE(agent(1).thaw());
  const json after = wait_for("a late frame", [&](const json& s) { return link(s)["late_frames"] > before; });
  ASSERT_TRUE(after.is_object());
  EXPECT_GE(link(after)["longest_gap_ms"], 400);
  const std::string series = "pointsman_link_late_frames_total{backend=\"db2\",link=\"udp\"}";
  const Scrape s =
      wait([&](const Scrape& seen) { return seen.value(series) > static_cast<double>(before); }, series);
  EXPECT_GE(s.value("pointsman_link_longest_gap_seconds{backend=\"db2\",link=\"udp\"}").value_or(0), 0.4);

  hosts_->cut_serial(1);
  const std::string lost = "pointsman_agent_lost_frames_total{backend=\"db2\"}";
  wait([&](const Scrape& seen) { return seen.value(lost) > s.value(lost).value_or(0) + 10; }, lost);
}

}  // namespace
}  // namespace pointsman::live
