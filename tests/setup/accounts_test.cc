#include "health/setup/accounts.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/testbed/accounts.h"

namespace pointsman::setup {
namespace {

using core::Flavour;

// What SHOW GRANTS of both products says is understood, and only what is missing is granted.
TEST(Accounts, FindsWhatIsMissing) {
  const auto wanted = monitor_privileges(Flavour::mysql, 90700);
  const std::vector<std::string> grants{
      "GRANT RELOAD, PROCESS, REPLICATION CLIENT, EVENT ON *.* TO `pointsman`@`%`",
      "GRANT BINLOG_ADMIN,CONNECTION_ADMIN,REPLICATION_SLAVE_ADMIN,SET_ANY_DEFINER,SYSTEM_USER,"
      "SYSTEM_VARIABLES_ADMIN ON *.* TO `pointsman`@`%`",
      "GRANT SELECT ON `performance_schema`.* TO `pointsman`@`%`",
      "GRANT SELECT, INSERT, DELETE ON `mysql`.`innodb_table_stats` TO `pointsman`@`%`"};
  EXPECT_EQ(missing_privileges(grants, wanted).global, std::vector<std::string>{"CLONE_ADMIN"});
  EXPECT_TRUE(missing_privileges(grants, wanted).narrow.empty());
  EXPECT_EQ(missing_privileges({"GRANT USAGE ON *.* TO `pointsman`@`%`"}, wanted).global, wanted.global);
  const auto all =
      missing_privileges({"GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"}, wanted);
  EXPECT_TRUE(all.global.empty());
  EXPECT_TRUE(all.narrow.empty());
}

// What is given on one table alone, or on the whole schema that it is in.
TEST(Accounts, FindsWhatIsMissingOnATable) {
  const auto wanted = monitor_privileges(Flavour::mariadb, 101100);
  const auto missing =
      missing_privileges({"GRANT SELECT, INSERT ON `mysql`.`innodb_table_stats` TO `pointsman`@`%`",
                          "GRANT DELETE ON `mysql`.`innodb_index_stats` TO `pointsman`@`%`"},
                         wanted);
  ASSERT_EQ(missing.narrow.size(), 1U);
  EXPECT_EQ(missing.narrow[0].place, "`mysql`.`innodb_table_stats`");
  EXPECT_EQ(missing.narrow[0].list, std::vector<std::string>{"DELETE"});
  for (const std::string place : {"`mysql`.*", "*.*"}) {
    const std::string grant = "GRANT SELECT, INSERT, DELETE ON " + place + " TO `pointsman`@`%`";
    EXPECT_TRUE(missing_privileges({grant}, wanted).narrow.empty()) << place;
  }
}

// The tests of the whole product run with the testbed's accounts, whose every privilege is needed there; what
// `setup` gives beyond that is for copies.
TEST(Accounts, GivesWhatTheTestsRunWith) {
  const auto beyond = [](std::vector<std::string> given, const std::vector<std::string_view>& needed) {
    for (const auto privilege : needed) {
      EXPECT_EQ(std::erase(given, privilege), 1U) << privilege;
    }
    return given;
  };
  using testbed::Product;
  EXPECT_TRUE(beyond(monitor_privileges(Flavour::mariadb, 101100).global,
                     testbed::monitor_privileges(Product::mariadb))
                  .empty());
  EXPECT_TRUE(beyond(replication_privileges(Flavour::mariadb).global,
                     testbed::replication_privileges(Product::mariadb))
                  .empty());
  EXPECT_EQ(
      beyond(monitor_privileges(Flavour::mysql, 90700).global, testbed::monitor_privileges(Product::mysql)),
      std::vector<std::string>{"CLONE_ADMIN"});
  EXPECT_EQ(
      beyond(replication_privileges(Flavour::mysql).global, testbed::replication_privileges(Product::mysql)),
      std::vector<std::string>{"BACKUP_ADMIN"});
}

TEST(Accounts, ReadsTheNameOfADefiner) {
  EXPECT_EQ(AccountName::parse("a@b@192.168.10.%"), (AccountName{"a@b", "192.168.10.%", false}));
  EXPECT_EQ(AccountName::parse("o'hara@%").quoted(), "'o''hara'@'%'");
  EXPECT_TRUE(AccountName::parse("role").role);
}

// Before MySQL 8.2 the privilege has another name, before 8.0.17 nobody can clone, before 8.0.16 no account
// is a system's.
TEST(Accounts, KnowsTheNamesOfTheVersion) {
  const auto has = [](const Privileges& privileges, const std::string& name) {
    return std::ranges::find(privileges.global, name) != privileges.global.end();
  };
  EXPECT_TRUE(has(monitor_privileges(Flavour::mysql, 80036), "SET_USER_ID"));
  EXPECT_TRUE(has(monitor_privileges(Flavour::mysql, 80400), "SET_ANY_DEFINER"));
  EXPECT_FALSE(has(monitor_privileges(Flavour::mysql, 80016), "CLONE_ADMIN"));
  EXPECT_TRUE(has(monitor_privileges(Flavour::mysql, 80016), "SYSTEM_USER"));
  EXPECT_FALSE(has(monitor_privileges(Flavour::mysql, 80015), "SYSTEM_USER"));
}

}  // namespace
}  // namespace pointsman::setup
