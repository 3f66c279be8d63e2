#include <gtest/gtest.h>

#include "health/setup/backup_obstacles.h"

namespace pointsman::setup {
namespace {

const Variables good{{"version", "10.11.19-MariaDB-log"},
                     {"datadir", "/var/lib/mysql/"},
                     {"innodb_data_home_dir", ""},
                     {"innodb_log_group_home_dir", "./"},
                     {"innodb_undo_directory", "./"},
                     {"innodb_page_size", "16384"},
                     {"innodb_data_file_path", "ibdata1:12M:autoextend"},
                     {"lower_case_table_names", "0"}};

Variables with(const std::string& name, const std::string& value) {
  Variables changed = good;
  changed[name] = value;
  return changed;
}

TEST(FilesFit, BetweenServersOfOneSeries) {
  EXPECT_EQ(why_files_do_not_fit(good, good), "");
  EXPECT_EQ(why_files_do_not_fit(good, with("version", "10.11.6-MariaDB")), "");
  EXPECT_EQ(why_files_do_not_fit(good, with("datadir", "/srv/db")), "");
  EXPECT_EQ(why_files_do_not_fit(with("innodb_log_group_home_dir", "/var/lib/mysql"), good), "");
  EXPECT_EQ(why_files_do_not_fit(good, with("version", "11.4.2-MariaDB")),
            "the servers are of two series, 10.11.19-MariaDB-log and 11.4.2-MariaDB");
}

TEST(FilesFit, OnlyWhenTheyAreInTheDataFolder) {
  for (const char* name : {"innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory"}) {
    EXPECT_NE(why_files_do_not_fit(with(name, "/elsewhere"), good).find("the primary's"), std::string::npos);
    EXPECT_NE(why_files_do_not_fit(good, with(name, "/elsewhere/")).find("the replica's"), std::string::npos);
  }
}

TEST(FilesFit, OnlyWhereTheyAreReadAlike) {
  EXPECT_NE(why_files_do_not_fit(good, with("innodb_page_size", "8192")), "");
  EXPECT_NE(why_files_do_not_fit(good, with("lower_case_table_names", "1")), "");
  EXPECT_NE(why_files_do_not_fit(good, with("innodb_data_file_path", "ibdata1:1G")), "");
}

TEST(Series, IsTheFirstTwoNumbers) {
  EXPECT_EQ(series_of("10.11.19-MariaDB-0+deb12u1-log"), "10.11");
  EXPECT_EQ(series_of("11.4.2"), "11.4");
  EXPECT_EQ(series_of("10.11"), "10.11");
  EXPECT_EQ(series_of(""), "");
}

}  // namespace
}  // namespace pointsman::setup
