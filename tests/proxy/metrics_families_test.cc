#include "proxy/metrics_families.h"

#include <array>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <prometheus/text_serializer.h>

#include "tests/proxy/metrics_scrape.h"
#include "tests/testbed/files.h"

// What the metrics are called and say, and that all who use them agree on that: alerts, dashboard, manual.
namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;
using Snapshot = MetricsSnapshot;

const core::Instant now{100h};

std::string read(const std::string& path) {
  std::string text = testbed::read_tail(std::string(POINTSMAN_SOURCE_DIR) + "/" + path, 10'000'000);
  EXPECT_NE(text, "") << path;
  return text;
}

core::HistoryRecord record(const char* kind, std::vector<core::StepTime> steps = {},
                           core::Duration total = {}) {
  core::HistoryRecord made;
  made.kind = kind;
  made.steps = std::move(steps);
  made.total = total;
  return made;
}

// With everything that there can be, so that no metric is absent.
Snapshot full() {
  Snapshot s{.taken = now - 300ms,
             .state = core::State::steady,
             .route_open = true,
             .epoch = core::Epoch{4},
             .automatic = true,
             .warnings = 2};
  s.semi_sync_state = core::SemiSyncState::degraded;
  s.at_stake = 43;
  s.hooks = {.done = 4, .failed = 3, .timed_out = 2, .not_started = 1, .dropped = 5};
  s.sessions.active = 7;
  s.sessions.active_by_backend[0] = 7;
  s.sessions.bytes_from_clients = 1000;
  s.sessions.bytes_from_servers = 2000;
  s.sessions.refused_max_held = 3;
  s.sessions.refused_headers[index(proxy_header::Fault::absent)] = 4;
  s.sessions.refused_headers[index(proxy_header::Fault::untrusted)] = 5;
  s.heartbeats = HeartbeatPortReport{.bound = true, .receive_drops = 5};
  Snapshot::Backend db1{.name = "db1",
                        .verdict = core::Verdict::up,
                        .role = core::Role::primary,
                        .probe_ok = true,
                        .probed = now - 40ms};
  db1.report = Snapshot::Report{.semi_sync_source = true};
  db1.agent =
      Snapshot::Agent{.lease_held = true, .mysqld = core::MysqldState::answers, .epoch = core::Epoch{4}};
  LinkReport udp{.sent = 10, .received = 9, .late = 1, .longest_gap = 450ms};
  udp.refused[core::index(core::FrameRefusal::bad_mac)] = 2;
  LinkReport serial{.sent = 10, .received = 9};
  serial.line = {"/dev/ttyS0", "up", {}};
  serial.line->stats.noise_bytes = 33;
  db1.links = {{core::LinkKind::udp, core::LinkState::alive, now - 50ms, udp},
               {core::LinkKind::serial, core::LinkState::late, now - 500ms, serial}};
  Snapshot::Backend db2{.name = "db2", .verdict = core::Verdict::crashed, .role = core::Role::replica};
  db2.report = Snapshot::Report{.read_only = true, .replicates = true, .receiver_runs = true, .lag = 12s};
  s.backends = {db1, db2};

  core::ServerReport report;
  s.counts.on_event(core::ProbeSucceeded{core::BackendId{0}, report, now - 4ms, now});
  s.counts.on_event(core::ProbeSucceeded{core::BackendId{0}, report, now - 2s, now});
  s.counts.on_event(core::ProbeFailed{core::BackendId{1}, {core::FailureKind::timeout, 0, ""}, now});
  core::HistoryRecord failover = record("failover", {{"fence", 2ms, ""}, {"promote", 8ms, ""}}, 20ms);
  s.counts.on_record(failover, 1000);
  failover.lost = {"0-1-7"};
  s.counts.on_record(failover, 2000);
  failover.failed = true;
  s.counts.on_record(failover, 3000);
  s.counts.on_record(record("switchover", {{"route", 1ms, ""}}, 5ms), 4000);
  for (const char* kind : {"refused", "step", "never heard of", "verdict"})
    s.counts.on_record(record(kind), 5000);
  return s;
}

Scrape text_of(const Snapshot& snapshot) {
  auto families = metric_families(snapshot, now);
  for (auto& family : process_families()) families.push_back(family);
  return parse_exposition(prometheus::TextSerializer().Serialize(families));
}

// The names under which series are stored, those of histograms with their endings.
std::set<std::string> exported() {
  std::set<std::string> names;
  for (const auto& [series, value] : text_of(full()).series) names.insert(series.substr(0, series.find('{')));
  return names;
}

// Each figure comes under its name, in base units.
TEST(MetricsFamilies, Values) {
  const Scrape s = text_of(full());
  EXPECT_EQ(s.value("pointsman_build_info{version=\"" POINTSMAN_VERSION "\"}"), 1);
  EXPECT_DOUBLE_EQ(s.value("pointsman_snapshot_age_seconds").value_or(-1), 0.3);
  EXPECT_EQ(s.value("pointsman_state{state=\"steady\"}"), 1);
  EXPECT_EQ(s.value("pointsman_state{state=\"no_primary\"}"), 0);
  EXPECT_EQ(s.sum("pointsman_state{"), 1);
  EXPECT_EQ(s.value("pointsman_epoch"), 4);
  EXPECT_EQ(s.value("pointsman_relayed_bytes_total{direction=\"to_server\"}"), 1000);
  EXPECT_EQ(s.value("pointsman_relayed_bytes_total{direction=\"to_client\"}"), 2000);
  EXPECT_EQ(s.value("pointsman_refused_clients_total{reason=\"max_held\"}"), 3);
  EXPECT_EQ(s.value("pointsman_refused_clients_total{reason=\"proxy_header_absent\"}"), 4);
  EXPECT_EQ(s.value("pointsman_refused_clients_total{reason=\"proxy_header_untrusted\"}"), 5);
  EXPECT_EQ(s.value("pointsman_backend_verdict{backend=\"db2\",verdict=\"crashed\"}"), 1);
  EXPECT_EQ(s.sum("pointsman_backend_verdict{backend=\"db2\""), 1);
  EXPECT_EQ(s.value("pointsman_backend_role{backend=\"db1\",role=\"primary\"}"), 1);
  EXPECT_EQ(s.value("pointsman_backend_replication_lag_seconds{backend=\"db2\"}"), 12);
  EXPECT_EQ(s.value("pointsman_backend_semi_sync_active{backend=\"db1\",side=\"source\"}"), 1);
  EXPECT_EQ(s.value("pointsman_semi_sync_state{state=\"degraded\"}"), 1);
  EXPECT_EQ(s.sum("pointsman_semi_sync_state{"), 1);
  EXPECT_EQ(s.value("pointsman_at_stake_transactions"), 43);
  EXPECT_EQ(s.value("pointsman_backend_sessions{backend=\"db1\"}"), 7);
  EXPECT_DOUBLE_EQ(s.value("pointsman_backend_probe_age_seconds{backend=\"db1\"}").value_or(-1), 0.04);
  EXPECT_EQ(s.value("pointsman_link_state{backend=\"db1\",link=\"serial\",state=\"late\"}"), 1);
  EXPECT_EQ(s.value("pointsman_link_late_frames_total{backend=\"db1\",link=\"udp\"}"), 1);
  EXPECT_DOUBLE_EQ(s.value("pointsman_link_longest_gap_seconds{backend=\"db1\",link=\"udp\"}").value_or(-1),
                   0.45);
  EXPECT_EQ(s.value("pointsman_link_refused_frames_total{backend=\"db1\",link=\"udp\",reason=\"bad_mac\"}"),
            2);
  EXPECT_EQ(s.value("pointsman_serial_noise_bytes_total{backend=\"db1\"}"), 33);
  EXPECT_EQ(s.value("pointsman_udp_dropped_datagrams_total{reason=\"in\"}"), 5);
  EXPECT_EQ(s.value("pointsman_agent_lease_held{backend=\"db1\"}"), 1);
  EXPECT_EQ(s.value("pointsman_agent_mysqld_state{backend=\"db1\",state=\"answers\"}"), 1);
}

// What passed by is counted: probes by their time, changes of primary by their outcome.
TEST(MetricsFamilies, Counts) {
  const Scrape s = text_of(full());
  const auto bucket = [&](const std::string& le) {
    return s.value("pointsman_backend_probe_latency_seconds_bucket{backend=\"db1\",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("0.0025"), 0);
  EXPECT_EQ(bucket("0.005"), 1);
  EXPECT_EQ(bucket("1"), 1);
  EXPECT_EQ(bucket("+Inf"), 2);
  EXPECT_EQ(s.value("pointsman_backend_probe_latency_seconds_count{backend=\"db1\"}"), 2);
  EXPECT_DOUBLE_EQ(s.value("pointsman_backend_probe_latency_seconds_sum{backend=\"db1\"}").value_or(-1),
                   2.004);
  EXPECT_EQ(s.value("pointsman_backend_probe_failures_total{backend=\"db2\",kind=\"timeout\"}"), 1);
  EXPECT_EQ(s.value("pointsman_failovers_total{outcome=\"done\"}"), 2);
  EXPECT_EQ(s.value("pointsman_failovers_total{outcome=\"failed\"}"), 1);
  EXPECT_EQ(s.value("pointsman_failovers_total{outcome=\"refused\"}"), 1);
  EXPECT_EQ(s.value("pointsman_failovers_with_loss_total"), 1);
  EXPECT_EQ(s.value("pointsman_switchovers_total{outcome=\"done\"}"), 1);
  EXPECT_EQ(s.value("pointsman_last_change_step_duration_seconds{kind=\"switchover\",step=\"route\"}"),
            0.001);
  EXPECT_EQ(s.value("pointsman_last_change_timestamp_seconds{kind=\"failover\"}"), 2);
  EXPECT_EQ(s.value("pointsman_events_total{kind=\"failover\"}"), 3);
  EXPECT_EQ(s.value("pointsman_events_total{kind=\"other\"}"), 1);
  EXPECT_EQ(s.value("pointsman_events_total{kind=\"verdict\"}"), 1);
  EXPECT_EQ(s.sum("pointsman_events_total{"), 7) << "steps are not events";
  EXPECT_EQ(s.value("pointsman_hooks_total{outcome=\"done\"}"), 4);
  EXPECT_EQ(s.value("pointsman_hooks_total{outcome=\"failed\"}"), 3);
  EXPECT_EQ(s.value("pointsman_hooks_total{outcome=\"timed_out\"}"), 2);
  EXPECT_EQ(s.value("pointsman_hooks_total{outcome=\"not_started\"}"), 1);
  EXPECT_EQ(s.value("pointsman_hooks_total{outcome=\"dropped\"}"), 5);
}

// A daemon of the first moment, which knows nothing yet, claims nothing: no ages, no lag, no links.
TEST(MetricsFamilies, NothingIsKnownYet) {
  Snapshot empty;
  empty.backends = {{.name = "db1"}};
  const Scrape s = text_of(empty);
  for (const char* absent :
       {"pointsman_backend_probe_age", "pointsman_backend_replication", "pointsman_backend_read_only",
        "pointsman_link", "pointsman_agent", "pointsman_serial", "pointsman_udp", "pointsman_last"}) {
    const auto at = s.series.lower_bound(std::string_view(absent));
    EXPECT_TRUE(at == s.series.end() || !at->first.starts_with(absent)) << at->first;
  }
  EXPECT_EQ(s.value("pointsman_backend_probe_ok{backend=\"db1\"}"), 0);
  EXPECT_EQ(s.value("pointsman_failovers_total{outcome=\"done\"}"), 0)
      << "a counter that appears with 1 has no increase";
}

// The figures of the process are its own.
TEST(MetricsFamilies, Process) {
  const Scrape s = text_of(full());
  EXPECT_GT(s.value("process_resident_memory_bytes").value_or(0), 1e6);
  EXPECT_GT(s.value("process_open_fds").value_or(0), 2);
  EXPECT_GE(s.value("process_max_fds").value_or(0), s.value("process_open_fds"));
  EXPECT_GT(s.value("process_cpu_seconds_total").value_or(0), 0);
  EXPECT_NEAR(s.value("process_start_time_seconds").value_or(0), static_cast<double>(std::time(nullptr)),
              3600);
}

// promtool has nothing to say against names, types and help.
TEST(MetricsFamilies, PromtoolFindsNothing) {
  EXPECT_EQ(promtool("check metrics", text_of(full()).body), "");
}

// Who writes an alert, a panel or a line of the manual about a metric means one that exists.
TEST(MetricsFamilies, NamesInFilesExist) {
  const auto names = exported();
  for (const char* file : {"conf/prometheus-alerts.yml", "conf/grafana-dashboard.json"}) {
    const auto used = metric_names_in(read(file));
    EXPECT_GT(used.size(), 15U) << file;
    for (const std::string& name : used) EXPECT_TRUE(names.contains(name)) << file << " has " << name;
  }
}

// The manual has every metric, and no other.
TEST(MetricsFamilies, ManualIsComplete) {
  const auto in_manual = metric_names_in(read("proxy/README.md"));
  std::set<std::string> names;
  for (const auto& family : metric_families(full(), now)) names.insert(family.name);
  for (const auto& family : process_families()) names.insert(family.name);
  for (const std::string& name : names)
    EXPECT_TRUE(in_manual.contains(name)) << name << " is not in proxy/README.md";
  for (const std::string& name : in_manual)
    EXPECT_TRUE(names.contains(name)) << "proxy/README.md has " << name;
}

// The alerts are rules as Prometheus takes them, and fire when they should and not otherwise.
TEST(MetricsFiles, Alerts) {
  const std::string root = POINTSMAN_SOURCE_DIR;
  EXPECT_EQ(promtool("check rules " + root + "/conf/prometheus-alerts.yml"), "");
  EXPECT_EQ(promtool("test rules " + root + "/tests/proxy/metrics_alerts.yml"), "");
}

// Every panel of the dashboard has a question that Prometheus can read.
TEST(MetricsFiles, Dashboard) {
  const auto dashboard = nlohmann::json::parse(read("conf/grafana-dashboard.json"), nullptr, false);
  ASSERT_FALSE(dashboard.is_discarded());
  std::string rules = "groups: [{name: dashboard, rules: [";
  std::set<int> ids;
  std::size_t count = 0;
  const auto ask = [&](std::string question) {
    // What Grafana puts in.
    for (std::size_t at; (at = question.find("$__rate_interval")) != std::string::npos;)
      question.replace(at, 16, "1m");
    rules += "{record: \"panel" + std::to_string(count++) + ":q\", expr: " + nlohmann::json(question).dump() +
             "},\n";
  };
  for (const auto& panel : dashboard["panels"]) {
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << "two panels have the id " << panel["id"];
    for (const auto& target : panel.value("targets", nlohmann::json::array())) ask(target["expr"]);
  }
  for (const auto& annotation : dashboard["annotations"]["list"]) ask(annotation["expr"]);
  EXPECT_GT(count, 40U);
  const auto folder = testbed::TempDirectory::create("dashboard");
  ASSERT_TRUE(folder);
  ASSERT_TRUE(testbed::write_file(folder->path() / "rules.yml", rules + "]}]\n"));
  EXPECT_EQ(promtool("check rules --lint=none " + (folder->path() / "rules.yml").string()), "");
}

}  // namespace
}  // namespace pointsman::proxy
