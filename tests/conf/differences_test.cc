#include "conf/differences.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/schema.h"
#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> lines(const Config& old, const Config& now) {
  std::vector<std::string> texts;
  for (const Difference& difference : differences(old, now)) texts.push_back(to_string(difference));
  return texts;
}

TEST(Differences, NoneInTheSameFile) {
  EXPECT_THAT(differences(must_load(rest), must_load(rest)), IsEmpty());
  // The same, written out and in another order.
  EXPECT_THAT(
      differences(must_load(rest),
                  must_load("[proxy]\nlisten = \"0.0.0.0:3306\"\nhold_timeout = \"10000ms\"\n" + rest)),
      IsEmpty());
  Config swapped = must_load(rest);
  std::ranges::reverse(swapped.backends);
  EXPECT_THAT(differences(must_load(rest), swapped), IsEmpty());
}

TEST(Differences, SayWhatTakesARestart) {
  const Config old = must_load(rest);
  Config now = old;
  now.proxy.threads = 4;
  now.proxy.max_connections = 100;
  now.log.level = LogLevel::debug;
  now.log.file = "/var/log/pointsman.log";
  now.replication.semi_sync = SemiSync::required;
  now.heartbeat.deadtime = 2s;
  EXPECT_THAT(lines(old, now),
              ElementsAre("proxy.threads: 0 -> 4 (takes a new process)", "proxy.max_connections: 4000 -> 100",
                          "log.level: \"info\" -> \"debug\"",
                          "log.file: \"\" -> \"/var/log/pointsman.log\" (takes a new process)",
                          "replication.semi_sync: \"preferred\" -> \"required\"",
                          "heartbeat.deadtime: \"1s\" -> \"2s\""));
}

TEST(Differences, Backends) {
  const Config old = must_load(rest);
  Config now = old;
  now.backends[0].address.port = 3307;
  now.backends[0].udp = {{"10.0.0.1", 694}};
  now.backends[0].serial = "/dev/ttyS0";
  now.backends[1].name = "dbserv3";
  EXPECT_THAT(
      lines(old, now),
      ElementsAre("backend dbserv1.address: \"10.0.0.1:3306\" -> \"10.0.0.1:3307\" (takes a new process)",
                  "backend dbserv1.udp: (none) -> [\"10.0.0.1:694\"] (takes a new process)",
                  "backend dbserv1.serial: (none) -> \"/dev/ttyS0\" (takes a new process)",
                  "backend dbserv2: \"10.0.0.2:3306\" -> (none) (takes a new process)",
                  "backend dbserv3: (none) -> \"10.0.0.2:3306\" (takes a new process)"));
}

// A new password in the same file is noticed, and not shown.
TEST(Differences, Passwords) {
  Config old = must_load(rest);
  old.monitor.account.password = "secret1";
  Config now = old;
  now.monitor.account.password = "secret2";
  EXPECT_THAT(lines(old, now), ElementsAre("monitor.password_file: another password"));
  EXPECT_THAT(differences(old, now), ElementsAre(Difference{"monitor.password_file", "(a password)",
                                                            "(a password)", Change::on_reload}));
}

// What a reload applies, key by key: this list is the promise of the README.
TEST(Differences, KeysThatAReloadApplies) {
  std::vector<std::string> names;
  for (const KeyInfo& key : schema()) {
    if (key.change == Change::on_reload) names.push_back(key.name);
  }
  EXPECT_THAT(
      names,
      ElementsAre("proxy.listen", "proxy.listen_unix", "proxy.max_connections", "proxy.connect_timeout",
                  "proxy.login_timeout", "proxy.hold_timeout", "proxy.max_held", "proxy.release_rate",
                  "proxy.drain_timeout", "proxy.proxy_protocol", "proxy.proxy_protocol_from", "admin.metrics",
                  "log.level", "monitor.user", "monitor.password_file", "monitor.interval", "monitor.timeout",
                  "replication.user", "replication.password_file", "replication.semi_sync",
                  "replication.chained", "heartbeat.keepalive", "heartbeat.warntime", "heartbeat.deadtime",
                  "failover.automatic", "failover.failback", "failover.allow_loss", "failover.discard",
                  "failover.binlog_program", "failover.refused_confirm", "failover.catchup_timeout",
                  "failover.window", "failover.max_in_window", "hooks.command", "hooks.events",
                  "hooks.timeout", "backend.priority", "backend.never_promote"));
}

// What is left over is exactly what takes a new process.
TEST(Reloaded, AppliesWhatItCan) {
  const Config running = must_load(rest);
  Config read = running;
  read.proxy.threads = 4;
  read.proxy.max_connections = 100;
  read.proxy.hold_timeout = 3s;
  read.log.level = LogLevel::error;
  read.failover.automatic = false;
  read.failover.discard = Discard::never;
  read.monitor.account = {"other", "/other", "secret"};
  read.backends[0].address.port = 1;

  const auto merged = reloaded(running, read);
  ASSERT_TRUE(merged.has_value()) << to_string(merged.error()[0]);
  EXPECT_EQ(merged->proxy.threads, 0U);
  EXPECT_EQ(merged->proxy.max_connections, 100U);
  EXPECT_EQ(merged->proxy.hold_timeout, 3s);
  EXPECT_EQ(merged->log.level, LogLevel::error);
  EXPECT_FALSE(merged->failover.automatic);
  EXPECT_EQ(merged->failover.discard, Discard::never);
  EXPECT_EQ(merged->monitor.account.user, "other");
  EXPECT_EQ(merged->monitor.account.password, "secret");
  EXPECT_EQ(merged->backends[0].address.port, 3306);
  EXPECT_THAT(
      lines(*merged, read),
      ElementsAre("proxy.threads: 0 -> 4 (takes a new process)",
                  "backend dbserv1.address: \"10.0.0.1:3306\" -> \"10.0.0.1:1\" (takes a new process)"));
}

// The words on single backends are applied by name, wherever each stands in the file.
TEST(Reloaded, AppliesWhatItCanToBackends) {
  const Config running = must_load(rest);
  Config read = running;
  std::ranges::reverse(read.backends);
  read.backends[0].priority = 500;
  read.backends[0].never_promote = true;
  read.backends[0].baud = 9600;
  read.replication.chained = Chained::move_up;
  const auto merged = reloaded(running, read);
  ASSERT_TRUE(merged.has_value()) << to_string(merged.error()[0]);
  EXPECT_EQ(merged->backends[0].name, "dbserv1");
  EXPECT_EQ(merged->backends[0].priority, 100U);
  EXPECT_EQ(merged->backends[1].priority, 500U);
  EXPECT_TRUE(merged->backends[1].never_promote);
  EXPECT_EQ(merged->replication.chained, Chained::move_up);
  EXPECT_THAT(lines(*merged, read), ElementsAre("backend dbserv2.baud: 19200 -> 9600 (takes a new process)"));
}

// The address that is free once the backend has moved is not free before: nothing is applied.
TEST(Reloaded, RefusesAnImpossibleMixture) {
  const Config running = must_load(rest);
  const std::string before = "10.0.0.1:3306";
  std::string moved = rest;
  moved.replace(moved.find(before), before.size(), "10.0.0.9:3306");
  const Config read = must_load("[proxy]\nlisten = [\"" + before + "\"]\n" + moved);
  const auto merged = reloaded(running, read);
  ASSERT_FALSE(merged.has_value());
  ASSERT_EQ(merged.error().size(), 1U);
  EXPECT_THAT(to_string(merged.error()[0]),
              StartsWith("p.toml: cannot be applied without a new process or a restart: "));
}

}  // namespace
}  // namespace pointsman::conf
