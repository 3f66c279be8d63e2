#include <algorithm>
#include <filesystem>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "tests/rescue/rescue_world.h"

namespace pointsman::rescue {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class SaveTest : public RescueTest, public testing::WithParamInterface<Product> {
 protected:
  void SetUp() override {
    start(GetParam());
    execute_all(old_primary(), {"CREATE TABLE app.a (id INT PRIMARY KEY, v VARCHAR(100))",
                                "INSERT INTO app.a VALUES (1, 'one'), (2, 'two'), (3, 'three')"});
  }
  void make_tail() {
    diverge({"INSERT INTO app.a VALUES (100, 'only here')", "UPDATE app.a SET v = 'TWO' WHERE id = 2",
             "DELETE FROM app.a WHERE id = 3"});
  }
  static unsigned mode(const fs::path& path) {
    struct stat told{};
    return ::stat(path.c_str(), &told) == 0 ? told.st_mode & 0777U : 0;
  }
  std::string failure() {
    const auto saved = save(order());
    return saved ? "saved" : saved.error().text;
  }
};

// What only MySQL has.
class SaveMySqlTest : public SaveTest {};

// A tail of three transactions, over two binary logs: the files hold them and nothing else, and nobody else
// may read them.
TEST_P(SaveTest, WritesExactlyTheErrantOnes) {
  diverge({"INSERT INTO app.a VALUES (100, 'only here')", "UPDATE app.a SET v = 'TWO' WHERE id = 2",
           "FLUSH BINARY LOGS", "DELETE FROM app.a WHERE id = 3"});
  const auto ordered = order();
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  EXPECT_EQ(saved->transactions, 3u);
  EXPECT_EQ(saved->errant, ordered.errant);
  EXPECT_EQ(fs::file_size(saved->directory / "transactions.binlog"), saved->bytes);
  const auto sql = read_text(saved->directory / "transactions.sql");
  for (const auto* wanted :
       {"'only here'", "'TWO'", "### INSERT INTO", "### UPDATE", "### DELETE FROM", "'three'"})
    EXPECT_NE(sql.find(wanted), std::string::npos) << wanted << " in " << sql;
  EXPECT_EQ(sql.find("'one'"), std::string::npos) << sql;
  EXPECT_EQ(mode(saved->directory), 0700u);
  EXPECT_EQ(mode(saved->directory.parent_path()), 0700u);
  for (const auto& entry : fs::directory_iterator(saved->directory))
    EXPECT_EQ(mode(entry.path()), 0600u) << entry;
  EXPECT_EQ(std::distance(fs::directory_iterator(saved->directory), {}), 3);
}

// Debian's mysqlbinlog is MariaDB's program, which does not talk to MySQL's servers.
TEST_P(SaveMySqlTest, MariaDbsProgramForMySql) {
  make_tail();
  auto ordered = order();
  ordered.binlog_program = "mariadb-binlog";
  const auto saved = save(ordered);
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().text.find("mariadb-binlog is MariaDB's"), std::string::npos) << saved.error().text;
}

// A MariaDB that was shut down after them may have told somebody that they are safe; one that was killed has
// not, whatever ended its later runs.
TEST_P(SaveTest, RefusesAfterAShutdownWhereThatMatters) {
  make_tail();
  const auto saves = [&] {
    auto ordered = order();
    ordered.not_if_shut_down = true;
    const auto saved = save(ordered);
    return saved ? "saved" : saved.error().text;
  };
  old_primary().kill();
  ASSERT_TRUE(old_primary().start());
  EXPECT_EQ(saves(), "saved");
  ASSERT_TRUE(old_primary().stop());
  ASSERT_TRUE(old_primary().start());
  EXPECT_EQ(saves(), "saved") << "they were written by the run that was killed";
  execute_all(old_primary(), {"SET GLOBAL read_only = 0", "INSERT INTO app.a VALUES (101, 'here, too')"});
  ASSERT_TRUE(old_primary().stop());
  ASSERT_TRUE(old_primary().start());
  if (mariadb()) {
    EXPECT_NE(saves().find("was shut down after"), std::string::npos) << saves();
  } else {
    EXPECT_EQ(saves(), "saved");
  }
  EXPECT_EQ(failure(), "saved") << "nobody said that it matters";
}

// Saved once, it is not saved again; nor does it change anything on the server.
TEST_P(SaveTest, IsIdempotent) {
  make_tail();
  const auto executed = report(old_primary()).executed;
  const auto first = save(order());
  const auto second = save(order());
  PM_ASSERT_OK(first);
  PM_ASSERT_OK(second);
  EXPECT_EQ(first->directory, second->directory);
  EXPECT_EQ(saved_directories().size(), 1u);
  EXPECT_EQ(report(old_primary()).executed, executed);
}

// One transaction more came: a new directory with all of them.
TEST_P(SaveTest, MoreIsSavedAnew) {
  make_tail();
  PM_ASSERT_OK(save(order()));
  execute_all(old_primary(),
              {std::string("SET GLOBAL read_only = 0"), "INSERT INTO app.a VALUES (101, 'late')"});
  const auto saved = save(order());
  PM_ASSERT_OK(saved);
  EXPECT_EQ(saved->transactions, 4u);
  EXPECT_EQ(saved_directories().size(), 2u);
}

// MySQL's transactions may have a tag, whose events have another form.
TEST_P(SaveMySqlTest, Tags) {
  diverge({"SET SESSION gtid_next = 'AUTOMATIC:mine'", "INSERT INTO app.a VALUES (100, 'tagged')",
           "SET SESSION gtid_next = 'AUTOMATIC'", "INSERT INTO app.a VALUES (101, 'plain')"});
  const auto saved = save(order());
  PM_ASSERT_OK(saved);
  EXPECT_EQ(saved->transactions, 2u);
  const auto sql = read_text(saved->directory / "transactions.sql");
  EXPECT_NE(sql.find("'tagged'"), std::string::npos) << sql;
  EXPECT_NE(sql.find("'plain'"), std::string::npos) << sql;
  EXPECT_EQ(sql.find("'one'"), std::string::npos) << sql;
}

// The logs that had them were purged: nothing can be saved, and that is said.
TEST_P(SaveTest, PurgedLogs) {
  make_tail();
  execute(old_primary(), "FLUSH BINARY LOGS");
  auto root = old_primary().root();
  ASSERT_TRUE(root);
  const auto logs = root->query("SHOW BINARY LOGS");
  ASSERT_TRUE(logs);
  const auto newest = logs->value("Log_name", logs->rows.size() - 1);
  // MariaDB keeps a log as long as a crash recovery may need it, which ends in the background.
  const auto oldest = [&] { return root->query("SHOW BINARY LOGS")->value("Log_name"); };
  for (int i = 0; i < 3000 && oldest() != newest; ++i) {
    execute(old_primary(), "PURGE BINARY LOGS TO '" + newest + "'");
    ::usleep(10'000);
  }
  ASSERT_EQ(oldest(), newest);
  EXPECT_NE(failure().find("are purged"), std::string::npos) << failure();
  EXPECT_TRUE(saved_directories().empty());
}

TEST_P(SaveTest, MissingProgram) {
  make_tail();
  for (const auto* name : {"no-such-program", "/nonexistent/mysqlbinlog"}) {
    auto ordered = order();
    ordered.binlog_program = name;
    const auto saved = save(ordered);
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().kind, core::FailureKind::unsupported);
    EXPECT_NE(saved.error().text.find(std::string(name) + " is not installed"), std::string::npos)
        << saved.error().text;
  }
}

// A program that fails, and one that hangs.
TEST_P(SaveTest, BadPrograms) {
  make_tail();
  const auto script = state_dir() / "bad";
  ASSERT_TRUE(testbed::write_file(script, "#!/bin/sh\necho it is broken >&2\nexit 3\n"));
  ::chmod(script.c_str(), 0755);
  auto ordered = order();
  ordered.binlog_program = script;
  const auto failed = save(ordered);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().text.find("failed with status 3: it is broken"), std::string::npos)
      << failed.error().text;

  ASSERT_TRUE(testbed::write_file(script, "#!/bin/sh\nsleep 1000\n"));
  ::chmod(script.c_str(), 0755);
  ordered.limits.silence = 300ms;
  const auto hung = save(ordered);
  ASSERT_FALSE(hung);
  EXPECT_EQ(hung.error().kind, core::FailureKind::timeout) << hung.error().text;
  EXPECT_TRUE(saved_directories().empty());
}

// Too little space for what there is to save, by the order's own limit and by the file system.
TEST_P(SaveTest, LimitsOfSpace) {
  make_tail();
  auto ordered = order();
  ordered.limits.saved_bytes = 300;
  const auto large = save(ordered);
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().text.find("larger than the limit"), std::string::npos) << large.error().text;
  ordered = order();
  ordered.limits.spare_bytes = std::uint64_t{1} << 60U;
  const auto full = save(ordered);
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().text.find("no space"), std::string::npos) << full.error().text;
  EXPECT_EQ(full.error().kind, core::FailureKind::unreachable) << "tried again, unlike the one before";
  EXPECT_EQ(large.error().kind, core::FailureKind::unsupported);
  EXPECT_TRUE(saved_directories().empty());
  PM_EXPECT_OK(save(order()));
}

TEST_P(SaveTest, AMissingPrivilegeIsTold) {
  make_tail();
  const auto& reader = cluster_->accounts().replication.user;
  execute_all(old_primary(), {"SET GLOBAL read_only = 0",
                              "REVOKE REPLICATION SLAVE ON *.* FROM " + testbed::quote(reader) + "@'%'"});
  EXPECT_NE(failure().find("REPLICATION SLAVE"), std::string::npos) << failure();
  EXPECT_TRUE(saved_directories().empty());
}

// The daemon ends while the program reads from a server that stands still.
TEST_P(SaveTest, StopsWhenTold) {
  make_tail();
  auto ordered = order();
  const auto script = state_dir() / "slow";
  ASSERT_TRUE(testbed::write_file(script, "#!/bin/sh\nsleep 1000\n"));
  ::chmod(script.c_str(), 0755);
  ordered.binlog_program = script;
  std::stop_source stop;
  ordered.stop = stop.get_token();
  std::jthread later([&] {
    std::this_thread::sleep_for(200ms);
    stop.request_stop();
  });
  const auto saved = save(ordered);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().kind, core::FailureKind::timeout);
}

// The password has every character that an option file treats in a way of its own.
TEST_P(SaveTest, OddPasswords) {
  make_tail();
  auto ordered = order();
  ordered.reader.password = "a \"b'c\\d#e;f=g ";
  execute_all(old_primary(), {"SET GLOBAL read_only = 0",
                              "ALTER USER " + testbed::quote(ordered.reader.user) + "@'%' IDENTIFIED BY " +
                                  testbed::quote(ordered.reader.password)});
  PM_EXPECT_OK(save(ordered));
}

INSTANTIATE_TEST_SUITE_P(, SaveMySqlTest, testing::Values(Product::mysql),
                         [](const auto& tested) { return std::string(testbed::to_string(tested.param)); });
INSTANTIATE_TEST_SUITE_P(Products, SaveTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(testbed::to_string(tested.param)); });

}  // namespace
}  // namespace pointsman::rescue
