#include <filesystem>

#include "tests/rescue/rescue_world.h"

namespace pointsman::rescue {
namespace {

// n numbers from 1, as MySQL has no table of them.
std::string numbers(int n, const std::string& select) {
  return "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(n) +
         ") " + select;
}

// One column of every type.
constexpr const char* every_type =
    "t1 TINYINT, t2 SMALLINT UNSIGNED, t3 MEDIUMINT, t4 INT UNSIGNED, t5 BIGINT, t6 BOOL, f1 FLOAT, f2 "
    "DOUBLE,"
    " d1 DECIMAL(20,6), d2 DECIMAL(65,30), d3 DECIMAL(9,0), s1 CHAR(20), s2 CHAR(255) CHARACTER SET utf8mb4,"
    " s3 VARCHAR(100), s4 VARCHAR(2000), s5 BINARY(16), s6 VARBINARY(300), b1 TINYBLOB, b2 BLOB, b3 "
    "MEDIUMBLOB,"
    " b4 LONGBLOB, x1 TINYTEXT, x2 TEXT, x3 MEDIUMTEXT, x4 LONGTEXT, e1 ENUM('x','y'), e2 SET('p','q','r'),"
    " e3 SET('1','2','3','4','5','6','7','8','9','10'), j JSON, v VECTOR(3), g GEOMETRY, bi1 BIT(1), bi2 "
    "BIT(10),"
    " bi3 BIT(64), c1 DATE, c2 YEAR, c3 TIME, c4 TIME(3), c5 DATETIME, c6 DATETIME(6), c7 TIMESTAMP NULL,"
    " c8 TIMESTAMP(1) NULL, g1 INT AS (t1 + 1) VIRTUAL, g2 VARCHAR(200) AS (CONCAT(s3, '!')) STORED,"
    " hidden INT DEFAULT 7 INVISIBLE, last VARCHAR(10)";
constexpr const char* columns_of_every_type =
    "t1, t2, t3, t4, t5, t6, f1, f2, d1, d2, d3, s1, s2, s3, s4, s5, s6, b1, b2, b3, b4, x1, x2, x3, x4, e1, "
    "e2,"
    " e3, j, v, g, bi1, bi2, bi3, c1, c2, c3, c4, c5, c6, c7, c8, last";
constexpr const char* values_of_every_type =
    "i % 100, i, -i, i * 7, -i * 1000000007, i % 2, i / 3, -i / 7, i / 7, -i / 9, i, CONCAT('c', i), "
    "REPEAT('é', i),"
    " CONCAT('row ', i), REPEAT('s', i * 7), UNHEX(LEFT(SHA2(i, 256), 32)), REPEAT(CHAR(i), i), REPEAT('t', "
    "i), REPEAT('b', "
    "i * 9),"
    " REPEAT('m', i * 900), REPEAT('l', i * 10), 'tiny', REPEAT('x', i * 3), 'medium', REPEAT('long', i), "
    "'y', 'p,r',"
    " '1,10', JSON_OBJECT('a', i, 'b', JSON_ARRAY(i, 'two', NULL)), TO_VECTOR(CONCAT('[', i, ',2,3.5]')),"
    " ST_GeomFromText(CONCAT('LINESTRING(0 0,', i, ' 1)')), i % 2, i, i * 1000000007, '2024-02-29', 2024,"
    " '-11:12:13', '11:12:13.456', '2024-02-29 01:02:03', '2024-02-29 01:02:03.456789', '2024-02-29 "
    "01:02:03',"
    " '2024-02-29 01:02:03.4', 'end'";

class MySqlTakeBackTest : public RescueTest {
 protected:
  void SetUp() override { start(Product::mysql); }

  // Tables that the tail is about; `app.typed` has a key, `app.keyless` none.
  void make_tables() {
    const std::string types = every_type;
    execute_all(
        old_primary(),
        {"CREATE TABLE app.typed (id INT PRIMARY KEY, " + types + ")",
         "CREATE TABLE app.keyless (" + types + ")",
         "CREATE TABLE app.`odd name-\u00e9` (id INT PRIMARY KEY, UNIQUE KEY (id))",
         "CREATE TABLE app.parts (id INT PRIMARY KEY, v INT, KEY ((v * 2))) PARTITION BY HASH (id) "
         "PARTITIONS 3",
         "CREATE TABLE app.`unique` (id INT PRIMARY KEY, u INT UNIQUE)",
         "CREATE TABLE app.tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES app.tree (id))",
         "CREATE TABLE app.lord (id INT PRIMARY KEY)",
         "CREATE TABLE app.vassal (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.lord (id) ON "
         "DELETE"
         " CASCADE ON UPDATE CASCADE)",
         "CREATE TABLE app.heir (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.vassal (id) ON "
         "DELETE"
         " SET NULL)",
         "CREATE TABLE app.plain (id INT PRIMARY KEY) ENGINE = MyISAM",
         "CREATE TABLE app.log (n INT)",
         "CREATE TRIGGER app.logged AFTER INSERT ON app.tree FOR EACH ROW INSERT INTO app.log VALUES "
         "(NEW.id)",
         "INSERT INTO app.typed (id, " + std::string(columns_of_every_type) + ") " +
             numbers(60, "SELECT i, " + std::string(values_of_every_type) + " FROM n"),
         "INSERT INTO app.keyless (" + std::string(columns_of_every_type) + ") " +
             numbers(20, "SELECT " + std::string(values_of_every_type) + " FROM n"),
         "INSERT INTO app.parts " + numbers(30, "SELECT i, i FROM n"),
         "INSERT INTO app.`unique` " + numbers(30, "SELECT i, i FROM n"),
         "INSERT INTO app.`odd name-\u00e9` VALUES (1), (2)",
         "INSERT INTO app.tree VALUES (1, NULL), (2, 1)",
         "INSERT INTO app.lord VALUES (1), (2), (3)",
         "INSERT INTO app.vassal VALUES (1, 1), (2, 1), (3, 2)",
         "INSERT INTO app.heir VALUES (1, 1), (2, 3)"});
  }
};

// The old primary comes back with inserts, updates and deletes that nobody else has: rows with every type and
// with NULLs, rows in a table without a key, in a partitioned one, in one whose unique keys move, trees that
// refer to themselves, cascades over two tables, a trigger, several statements in a transaction. They are
// saved and taken back; then it follows, with the same rows.
TEST_F(MySqlTakeBackTest, UndoesARowTailAndFollows) {
  make_tables();
  diverge({"INSERT INTO app.typed (id) VALUES (1000), (1001)",
           "INSERT INTO app.typed (id, " + std::string(columns_of_every_type) + ") " +
               numbers(50, "SELECT i + 2000, " + std::string(values_of_every_type) + " FROM n"),
           "UPDATE app.typed SET t1 = 5, s3 = REPEAT('changed', 10), b4 = REPEAT('x', 300000), d1 = NULL, j "
           "= NULL,"
           " hidden = 8 WHERE id BETWEEN 10 AND 20",
           "UPDATE app.typed SET j = JSON_SET(j, '$.a', 'other'), v = NULL, g = NULL, bi2 = 3 WHERE id > 40",
           "UPDATE app.typed SET id = id + 5000 WHERE id = 30",
           "DELETE FROM app.typed WHERE id BETWEEN 50 AND 55",
           "UPDATE app.keyless SET f1 = f1 * 2, j = NULL WHERE t2 < 5",
           "DELETE FROM app.keyless WHERE t2 > 15",
           "INSERT INTO app.keyless (t1, last) VALUES (1, 'a'), (1, 'a')",
           "DELETE FROM app.`odd name-\u00e9` WHERE id = 1",
           "UPDATE app.parts SET id = id + 100, v = 9 WHERE id < 10",
           "UPDATE app.`unique` SET u = u + 1 ORDER BY u DESC",
           "BEGIN",
           "INSERT INTO app.tree VALUES (3, 2), (4, 3), (5, 4)",
           "SAVEPOINT s",
           "UPDATE app.tree SET up = 1 WHERE id = 4",
           "DELETE FROM app.tree WHERE id = 3",
           "COMMIT",
           "UPDATE app.lord SET id = 20 WHERE id = 2",
           "DELETE FROM app.lord WHERE id IN (1, 20)",
           "INSERT INTO app.parts " + numbers(1000, "SELECT i + 1000, i FROM n")});
  const auto ordered = order();
  ASSERT_FALSE(ordered.errant.empty());
  EXPECT_NE(checksums(old_primary()), checksums(primary()));
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  EXPECT_EQ(saved->transactions, 16u);
  const auto taken = take_back(ordered, *saved);
  PM_ASSERT_OK(taken);
  const auto* copy = std::get_if<NeedsCopy>(&*taken);
  ASSERT_EQ(copy, nullptr) << copy->why;
  EXPECT_EQ(scalar(old_primary(), "SELECT @@global.super_read_only"), "1");
  EXPECT_EQ(report(old_primary()).executed, report(old_primary()).executed.minus(ordered.errant));
  follow();
  expect_no_errant();
  expect_equal_data();
  EXPECT_TRUE(std::filesystem::exists(saved->directory / "undo.sql"));
  const auto open = unfinished(state_dir(), ordered.server);
  PM_ASSERT_OK(open);
  EXPECT_FALSE(open->has_value());
}

// Nobody waits for a replica that is not there: the old primary still has the role of a semi-synchronous
// source without a timeout.
TEST_F(MySqlTakeBackTest, DoesNotWaitForAReplica) {
  execute(old_primary(), "CREATE TABLE app.a (id INT PRIMARY KEY)");
  diverge({"INSERT INTO app.a VALUES (1)"});
  execute(old_primary(),
          "SET GLOBAL rpl_semi_sync_source_timeout = 1000000000, GLOBAL"
          " rpl_semi_sync_source_wait_no_replica = ON, GLOBAL rpl_semi_sync_source_enabled = ON");
  EXPECT_EQ(why_copy(), "undone");
  expect_no_errant();
}

// What cannot be undone row by row needs a copy, and nothing was changed.
TEST_F(MySqlTakeBackTest, SaysWhatNeedsACopy) {
  execute_all(old_primary(), {"CREATE TABLE app.a (id INT PRIMARY KEY, v INT, j JSON)",
                              "CREATE TABLE app.plain (id INT PRIMARY KEY) ENGINE = MyISAM",
                              "INSERT INTO app.a VALUES (1, 1, JSON_OBJECT('a', REPEAT('x', 200), 'b', 1))"});
  struct Case {
    std::vector<std::string> tail;
    std::string why;
  };
  const std::vector<Case> cases{
      {{"ALTER TABLE app.a ADD COLUMN extra INT"},
       "is a statement, not a change of rows: ALTER TABLE app.a ADD COLUMN extra INT"},
      {{"INSERT INTO app.plain VALUES (1)"}, "changed a table that has no transactions"},
      {{"SET SESSION binlog_row_image = MINIMAL", "UPDATE app.a SET v = 2"}, "binlog_row_image was not FULL"},
      {{"SET SESSION binlog_format = STATEMENT", "UPDATE app.a SET v = 3"},
       "is a statement, not a change of rows: UPDATE app.a"},
      {{"SET SESSION binlog_row_value_options = PARTIAL_JSON", "UPDATE app.a SET j = JSON_SET(j, '$.b', 2)"},
       "has only a part of the JSON documents"},
      {{"SET SESSION binlog_transaction_compression = ON", "INSERT INTO app.a (id) VALUES (2)"},
       "is compressed (binlog_transaction_compression)"},
      {{"XA START 'x'", "INSERT INTO app.a (id) VALUES (3)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"},
       "XA"},
      {{"SET SESSION gtid_next = 'AUTOMATIC:mine'", "INSERT INTO app.a (id) VALUES (4)"},
       "their GTIDs have tags"},
      {{"UPDATE app.a SET v = 4 WHERE id = 1", "SET GLOBAL max_allowed_packet = 1024 * 1024 * 8",
        "UPDATE app.a SET j = JSON_QUOTE(REPEAT('x', 7000000)) WHERE id = 1",
        "SET GLOBAL max_allowed_packet = 1048576"},
       "which is too much for one statement (max_allowed_packet)"},
  };
  auto begin = report(old_primary()).executed;
  for (const auto& one : cases) {
    execute(old_primary(), "SET GLOBAL read_only = OFF");
    execute_all(old_primary(), one.tail);
    execute(old_primary(), "SET GLOBAL super_read_only = ON");
    auto ordered = order();
    const auto executed = report(old_primary()).executed;
    ordered.keep = begin;
    ordered.errant = executed.minus(begin);
    EXPECT_NE(why_copy(ordered).find(one.why), std::string::npos)
        << why_copy(ordered) << "\nnot: " << one.why;
    EXPECT_EQ(report(old_primary()).executed, executed);
    begin = executed;
  }
}

// Rows that the primary's own changes came after: what they were before is not told by the tail alone.
TEST_F(MySqlTakeBackTest, WhatThePrimaryChangedSinceNeedsACopy) {
  execute_all(old_primary(),
              {"CREATE TABLE app.a (id INT PRIMARY KEY, v INT)", "INSERT INTO app.a VALUES (1, 1)"});
  diverge({"UPDATE app.a SET v = 2"});
  execute(primary(), "UPDATE app.a SET v = 3");
  const auto errant = order().errant;
  const auto followed = cluster_->follow(old_primary(), primary());
  ASSERT_TRUE(followed) << followed.error();
  const auto caught_up = cluster_->wait_caught_up(old_primary(), primary(), std::chrono::seconds(30));
  ASSERT_TRUE(caught_up) << caught_up.error();
  execute_all(old_primary(), {"STOP REPLICA", "RESET REPLICA ALL"});
  EXPECT_EQ(order().errant, errant);
  EXPECT_NE(why_copy().find(", which the primary has, was written after them"), std::string::npos)
      << why_copy();
}

// Row events without the flag that cascades were logged: those changes are nowhere.
TEST_F(MySqlTakeBackTest, CascadesOfTheEngineNeedACopy) {
  cluster_.reset();
  start(Product::mysql, {"innodb_native_foreign_keys = ON"});
  make_tables();
  diverge({"DELETE FROM app.lord WHERE id = 1"});
  EXPECT_NE(why_copy().find("app/vassal follows them by a foreign key"), std::string::npos) << why_copy();
}

// A row that the undo wants to bring back exists already, because somebody meddled without a binary log: the
// server refuses, all of it is rolled back, and a copy is called for.
TEST_F(MySqlTakeBackTest, ARefusedUndoChangesNothing) {
  execute_all(old_primary(),
              {"CREATE TABLE app.a (id INT PRIMARY KEY)", "INSERT INTO app.a VALUES (5), (6)"});
  diverge({"DELETE FROM app.a WHERE id = 5", "DELETE FROM app.a WHERE id = 6", "SET SESSION sql_log_bin = 0",
           "INSERT INTO app.a (id) VALUES (5)"});
  EXPECT_NE(why_copy().find("the server refused the undo"), std::string::npos) << why_copy();
  EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.a WHERE id = 6"), "0");
  EXPECT_EQ(scalar(old_primary(), "SELECT @@global.super_read_only"), "1");
}

// An account that was made for an earlier version lacks the privilege: a copy, as before.
TEST_F(MySqlTakeBackTest, WithoutThePrivilegeItNeedsACopy) {
  execute(old_primary(), "CREATE TABLE app.a (id INT PRIMARY KEY)");
  diverge({"INSERT INTO app.a VALUES (1)"});
  execute_all(old_primary(),
              {"SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = 0",
               "REVOKE BINLOG_ADMIN ON *.* FROM 'pointsman'@'%'", "SET GLOBAL super_read_only = ON"});
  EXPECT_NE(why_copy().find("the monitor account lacks a privilege"), std::string::npos) << why_copy();
}

// Somebody with the right to do so writes in the moment in which super_read_only is off: nothing is thrown
// away, and what is there now has to be saved anew. Then all of it is taken back, the undo included.
TEST_F(MySqlTakeBackTest, AWriteBesideTheUndoIsSeen) {
  execute_all(old_primary(),
              {"CREATE TABLE app.a (id INT PRIMARY KEY)", "INSERT INTO app.a VALUES (1), (2)"});
  diverge({"DELETE FROM app.a WHERE id = 1"});
  auto ordered = order();
  ordered.progress = [this](Stage stage) {
    if (stage == Stage::undo_committed) execute(old_primary(), "DELETE FROM app.a WHERE id = 2");
  };
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  const auto taken = take_back(ordered, *saved);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().text.find("saved anew"), std::string::npos) << taken.error().text;
  EXPECT_EQ(scalar(old_primary(), "SELECT @@global.super_read_only"), "1");
  EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.a"), "1");
  EXPECT_EQ(why_copy(), "undone");
  expect_no_errant();
  follow();
  expect_equal_data();
}

}  // namespace
}  // namespace pointsman::rescue
