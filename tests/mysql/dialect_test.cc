#include "health/mysql/dialect.h"

#include <gtest/gtest.h>

namespace pointsman::mysql {
namespace {

using namespace std::chrono_literals;

TEST(Version, IsReadAsServersPrintIt) {
  EXPECT_EQ(version_number("8.0.36-0ubuntu0.22.04.1"), 80036U);
  EXPECT_EQ(version_number("9.7.4-2"), 90704U);
  EXPECT_EQ(version_number("5.5.5-10.11.6-MariaDB-log"), 101106U);
  EXPECT_EQ(version_number("11.4.2-MariaDB"), 110402U);
  EXPECT_EQ(version_number("8.4"), 80400U);
  EXPECT_EQ(version_number("5.5.5-percona"), 50505U);
  EXPECT_EQ(version_number(""), 0U);
  EXPECT_EQ(version_number("\xff\xfe"), 0U);
  EXPECT_EQ(version_number("99999999999999.1"), 0U);
  EXPECT_EQ(plain_version("5.5.5-10.11.6-MariaDB-log"), "10.11.6-MariaDB-log");
}

// Old releases of MySQL 8.0 know only the old words.
TEST(Dialect, WordsFollowTheVersion) {
  EXPECT_EQ(make_mysql_dialect(80021)->stop_replication(), "STOP SLAVE FOR CHANNEL ''");
  EXPECT_EQ(make_mysql_dialect(80400)->stop_replication(), "STOP REPLICA FOR CHANNEL ''");
  const Dialect::Source source{{"db1", 3306}, {"replica", "", "it's"}, 500ms};
  EXPECT_TRUE(
      make_mysql_dialect(80022)->set_source(source).sql.starts_with("CHANGE MASTER TO MASTER_HOST = 'db1'"));
  EXPECT_TRUE(make_mysql_dialect(80023)->set_source(source).sql.starts_with(
      "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'db1'"));
}

// The password is in what is sent and in nothing that is shown; "localhost" would be the replica's own socket
// file.
TEST(Dialect, SourceHidesThePassword) {
  const Dialect::Source source{{"localhost", 3306}, {"replica", "", "it's"}, 500ms};
  for (const auto& dialect : {make_mariadb_dialect(), make_mysql_dialect(90700)}) {
    const auto statement = dialect->set_source(source);
    EXPECT_NE(statement.sql.find("'it''s'"), std::string::npos) << statement.sql;
    EXPECT_NE(statement.sql.find("'127.0.0.1'"), std::string::npos) << statement.sql;
    EXPECT_EQ(statement.shown.find("it"), std::string::npos) << statement.shown;
    EXPECT_NE(statement.sql.find("HEARTBEAT_PERIOD = 0.500"), std::string::npos) << statement.sql;
  }
}

TEST(Dialect, WaitsForAPosition) {
  const auto mariadb = core::GtidSet::parse(core::Flavour::mariadb, "0-1-100,0-2-103,1-1-7");
  ASSERT_TRUE(mariadb);
  EXPECT_EQ(make_mariadb_dialect()->wait_applied(*mariadb, 250ms),
            "SELECT MASTER_GTID_WAIT('0-2-103,1-1-7', 0.250)");
  const auto mysql = core::GtidSet::parse(core::Flavour::mysql, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5");
  ASSERT_TRUE(mysql);
  EXPECT_EQ(make_mysql_dialect(80400)->wait_applied(*mysql, 1s),
            "SELECT WAIT_FOR_EXECUTED_GTID_SET('3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5', 1.000)");
}

}  // namespace
}  // namespace pointsman::mysql
