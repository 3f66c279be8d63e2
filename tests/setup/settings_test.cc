#include "health/setup/settings.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/setup/surveys.h"

namespace pointsman::setup {
namespace {

using core::Flavour;
using Weight = Finding::Weight;

std::string names(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    text += finding.server + "." + finding.setting + (finding.weight == Weight::fatal ? "! " : " ");
  }
  return text;
}

// Servers as the README says have nothing to be told, in each mode.
TEST(Settings, SaysNothingOfGoodServers) {
  conf::Config config;
  for (const auto mode : {conf::SemiSync::preferred, conf::SemiSync::off}) {
    config.replication.semi_sync = mode;
    EXPECT_EQ(names(check_settings({bare(Flavour::mariadb, 1), bare(Flavour::mariadb, 2)}, config)), "");
    EXPECT_EQ(names(check_settings({bare(Flavour::mysql, 1), bare(Flavour::mysql, 2)}, config)), "");
  }
}

// Everything that is wrong is said at once, in the order of the servers, with the line that mends it.
TEST(Settings, SaysEverythingAtOnce) {
  auto one = bare(Flavour::mariadb, 1);
  auto two = bare(Flavour::mariadb, 2);
  two.report.server_id = 1;
  two.variables["log_bin"] = "OFF";
  two.variables["log_slave_updates"] = "OFF";
  two.variables["binlog_format"] = "MIXED";
  two.variables["sync_binlog"] = "0";
  two.variables["slave_net_timeout"] = "60";
  two.variables["slave_parallel_threads"] = "0";
  two.variables["read_only"] = "OFF";
  one.variables["gtid_strict_mode"] = "OFF";
  const auto findings = check_settings({one, two}, {});
  EXPECT_EQ(names(findings),
            "db1.gtid_strict_mode db2.server_id! db2.log_bin! db2.binlog_format db2.log_slave_updates! "
            "db2.sync_binlog db2.read_only db2.slave_net_timeout db2.slave_parallel_threads ");
  EXPECT_EQ(my_cnf_lines(findings, "db1"), "[mysqld]\ngtid_strict_mode = 1\n");
  EXPECT_EQ(my_cnf_lines(findings, "db2"),
            "[mysqld]\nserver_id = 2\nlog_bin = binlog\nbinlog_format = ROW\nlog_slave_updates = 1\n"
            "sync_binlog = 1\nread_only = 1\nslave_net_timeout = 5\nslave_parallel_threads = 8\n");
  EXPECT_EQ(my_cnf_lines(findings, "db3"), "");
}

TEST(Settings, KnowsMySqlsOwn) {
  auto one = bare(Flavour::mysql, 1);
  one.variables["gtid_mode"] = "OFF";
  one.variables["enforce_gtid_consistency"] = "WARN";
  one.plugins.clear();
  EXPECT_EQ(names(check_settings({one}, {})),
            "db1.gtid_mode! db1.enforce_gtid_consistency! db1.plugin_load_add db1.plugin_load_add ");
  auto twin = bare(Flavour::mysql, 2);
  twin.report.server_uuid = one.report.server_uuid;
  twin.report.version = "8.0.36";
  EXPECT_NE(names(check_settings({one, twin}, {})).find("db2.server_uuid! db2.version "), std::string::npos);
}

// What counts is the next boot: a value that was set by hand tells nothing of it.
TEST(Settings, LooksForReadOnlyAtBoot) {
  auto one = bare(Flavour::mariadb, 1);
  one.variables["read_only"] = "OFF";
  one.origins["read_only"] = Origin::runtime;
  const auto findings = check_settings({one}, {});
  ASSERT_EQ(names(findings), "db1.read_only ");
  EXPECT_NE(findings[0].why.find("does not tell"), std::string::npos);
  one.variables["read_only"] = "ON";
  EXPECT_EQ(names(check_settings({one}, {})), "");
}

// Crash recovery that takes commits out takes out what clients were told of, under any mode.
TEST(Settings, AdvisesAgainstRecoveryThatShedsATail) {
  auto one = bare(Flavour::mariadb, 1);
  for (const auto mode : {conf::SemiSync::required, conf::SemiSync::preferred, conf::SemiSync::off}) {
    conf::Config config;
    config.replication.semi_sync = mode;
    one.origins["rpl_semi_sync_slave_enabled"] = Origin::compiled;
    one.variables["rpl_semi_sync_slave_enabled"] = "OFF";
    EXPECT_EQ(names(check_settings({one}, config)), "");
    one.variables["rpl_semi_sync_slave_enabled"] = "ON";  // by us, while it runs
    EXPECT_EQ(names(check_settings({one}, config)), "");
    one.origins["rpl_semi_sync_slave_enabled"] = Origin::file;
    EXPECT_EQ(names(check_settings({one}, config)), "db1.rpl_semi_sync_slave_enabled ");
  }
}

TEST(Settings, RefusesTwoProducts) {
  EXPECT_EQ(names(check_settings({bare(Flavour::mysql, 1), bare(Flavour::mariadb, 2)}, {})), "db2.version! ");
}

}  // namespace
}  // namespace pointsman::setup
