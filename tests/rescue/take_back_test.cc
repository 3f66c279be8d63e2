#include <filesystem>

#include "tests/rescue/rescue_world.h"

namespace pointsman::rescue {
namespace {

class TakeBackTest : public RescueTest {
 protected:
  void SetUp() override {
    start(Product::mariadb);
    execute_all(
        old_primary(),
        {"CREATE TABLE app.a (id INT PRIMARY KEY, v VARCHAR(100), b LONGBLOB, d DATETIME(6), n DECIMAL(20,6) "
         "NULL)",
         "CREATE TABLE app.keyless (v INT NULL, t TEXT)",
         "CREATE TABLE app.`odd name-\u00e9` (id INT PRIMARY KEY, j JSON, e ENUM('x','y'), s SET('p','q'), f "
         "DOUBLE)",
         "CREATE TABLE app.parts (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3",
         "CREATE TABLE app.parent (id INT PRIMARY KEY, v INT)",
         "CREATE TABLE app.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.parent (id))",
         "CREATE TABLE app.lord (id INT PRIMARY KEY)",
         "CREATE TABLE app.stern (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.lord (id) ON "
         "DELETE "
         "CASCADE)",
         "CREATE TABLE app.plain (id INT PRIMARY KEY) ENGINE = MyISAM",
         "INSERT INTO app.a SELECT seq, CONCAT('row ', seq), REPEAT(CHAR(seq % 256), 1000), NOW(6), seq / 7 "
         "FROM app.seq_1_to_200",
         "INSERT INTO app.keyless SELECT seq % 5, 'same' FROM app.seq_1_to_50",
         "INSERT INTO app.`odd name-\u00e9` SELECT seq, '{\"a\": 1}', 'x', 'p,q', seq / 3 FROM "
         "app.seq_1_to_20",
         "INSERT INTO app.parts SELECT seq, seq FROM app.seq_1_to_30",
         "INSERT INTO app.parent VALUES (1, 1), (2, 2)", "INSERT INTO app.child VALUES (1, 1)"});
  }
};

// The old primary comes back with inserts, updates and deletes in several tables that nobody else has: rows
// with blobs and NULLs, many rows in a statement, a table without a key, a partitioned one, odd names,
// foreign keys, several statements in a transaction. They are saved and taken back; then it follows, with the
// same rows.
TEST_F(TakeBackTest, UndoesARowTailAndFollows) {
  diverge({"INSERT INTO app.a VALUES (1001, NULL, NULL, NULL, NULL), (1002, '', '', '2020-01-01', -1.5)",
           "UPDATE app.a SET v = 'changed', b = REPEAT('x', 300000), n = NULL WHERE id BETWEEN 10 AND 20",
           "UPDATE app.a SET v = 'again' WHERE id IN (12, 1001)",
           "UPDATE app.a SET id = id + 5000 WHERE id = 30", "DELETE FROM app.a WHERE id BETWEEN 100 AND 150",
           "INSERT INTO app.keyless VALUES (NULL, NULL), (3, 'same')", "DELETE FROM app.keyless WHERE v = 1",
           "UPDATE app.keyless SET v = 9 WHERE v = 2",
           "UPDATE app.`odd name-\u00e9` SET j = NULL, e = 'y', s = '', f = -f WHERE id < 5",
           "DELETE FROM app.`odd name-\u00e9` WHERE id = 7",
           "UPDATE app.parts SET id = id + 100 WHERE id < 10", "BEGIN",
           "INSERT INTO app.parent VALUES (3, 3)", "INSERT INTO app.child VALUES (2, 3), (3, 3)",
           "SAVEPOINT s", "UPDATE app.child SET p = 1 WHERE id = 3", "COMMIT",
           "INSERT INTO app.parts SELECT seq, seq FROM app.seq_1000_to_3000"});
  const auto before = checksums(primary());
  const auto ordered = order();
  ASSERT_FALSE(ordered.errant.empty());
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  EXPECT_EQ(saved->transactions, 13u);
  const auto taken = take_back(ordered, *saved);
  PM_ASSERT_OK(taken);
  const auto* copy = std::get_if<NeedsCopy>(&*taken);
  ASSERT_EQ(copy, nullptr) << copy->why;
  expect_no_errant();
  EXPECT_EQ(scalar(old_primary(), "SELECT @@global.gtid_binlog_pos"),
            scalar(old_primary(), "SELECT @@global.gtid_slave_pos"));
  follow();
  expect_no_errant();
  expect_equal_data();
  EXPECT_TRUE(std::filesystem::exists(saved->directory / "undo.sql"));
  const auto open = unfinished(state_dir(), ordered.server);
  PM_ASSERT_OK(open);
  EXPECT_FALSE(open->has_value());
}

// It was a replica and a primary several times, so its GTID state names both servers; then the tail comes,
// and after it was taken back it becomes the primary again, and the other one finds nothing errant there.
TEST_F(TakeBackTest, KeepsTheStateOfEveryServer) {
  diverge({"UPDATE app.a SET v = 'lost' WHERE id = 1"});
  for (int round = 0; round < 2; ++round) {
    const auto ordered = order();
    const auto saved = save(ordered);
    PM_ASSERT_OK(saved);
    const auto taken = take_back(ordered, *saved);
    PM_ASSERT_OK(taken);
    ASSERT_TRUE(std::holds_alternative<Undone>(*taken));
    follow();
    expect_equal_data();
    expect_no_errant();
    // Back: the first is the primary again, for one row, and then once more loses a tail.
    execute_all(old_primary(), {"STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0",
                                "DELETE FROM app.keyless LIMIT 1"});
    execute(primary(), "SET GLOBAL read_only = 1");
    const auto followed = cluster_->follow(primary(), old_primary());
    ASSERT_TRUE(followed) << followed.error();
    diverge({"DELETE FROM app.a WHERE id > 190", "INSERT INTO app.keyless VALUES (77, 'x')"});
  }
}

// A tail with a statement that changes a table's definition cannot be undone row by row.
TEST_F(TakeBackTest, DdlNeedsACopy) {
  diverge({"INSERT INTO app.parts VALUES (5000, 1)", "ALTER TABLE app.parts ADD COLUMN extra INT"});
  EXPECT_NE(
      why_copy().find("is a statement, not a change of rows: ALTER TABLE app.parts ADD COLUMN extra INT"),
      std::string::npos)
      << why_copy();
  EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.parts WHERE id = 5000"), "1");
}

TEST_F(TakeBackTest, ATableWithoutTransactionsNeedsACopy) {
  diverge({"INSERT INTO app.plain VALUES (1)"});
  EXPECT_NE(why_copy().find("changed a table that has no transactions"), std::string::npos) << why_copy();
}

// Deleted children of a deleted parent are not in the binary log.
TEST_F(TakeBackTest, CascadesNeedACopy) {
  execute_all(old_primary(), {"INSERT INTO app.lord VALUES (5)", "INSERT INTO app.stern VALUES (1, 5)"});
  diverge({"DELETE FROM app.lord WHERE id = 5"});
  EXPECT_NE(why_copy().find("app/stern follows them by a foreign key"), std::string::npos) << why_copy();
}

TEST_F(TakeBackTest, PartOfARowNeedsACopy) {
  diverge({"SET SESSION binlog_row_image = MINIMAL", "UPDATE app.a SET v = 'x' WHERE id = 5"});
  EXPECT_NE(why_copy().find("binlog_row_image was not FULL"), std::string::npos) << why_copy();
}

TEST_F(TakeBackTest, StatementsNeedACopy) {
  diverge({"SET SESSION binlog_format = STATEMENT", "UPDATE app.a SET v = 'x' WHERE id = 5"});
  EXPECT_NE(why_copy().find("is a statement, not a change of rows: UPDATE app.a"), std::string::npos)
      << why_copy();
}

TEST_F(TakeBackTest, SystemVersionedTablesNeedACopy) {
  execute_all(old_primary(), {"CREATE TABLE app.versioned (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
                              "INSERT INTO app.versioned VALUES (1, 1)"});
  diverge({"UPDATE app.versioned SET v = 2"});
  EXPECT_NE(why_copy().find("app.versioned is system-versioned"), std::string::npos) << why_copy();
}

TEST_F(TakeBackTest, SequencesNeedACopy) {
  execute(old_primary(), "CREATE SEQUENCE app.numbers");
  diverge({"SELECT NEXTVAL(app.numbers)"});
  const auto why = why_copy();
  EXPECT_NE(why, "undone");
  EXPECT_EQ(why.find("failed"), std::string::npos) << why;
}

TEST_F(TakeBackTest, MoreThanTheLimitNeedsACopy) {
  diverge({"INSERT INTO app.parts SELECT seq, seq FROM app.seq_1000_to_3000"});
  auto ordered = order();
  ordered.limits.undo_bytes = 1000;
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  const auto taken = take_back(ordered, *saved);
  PM_ASSERT_OK(taken);
  EXPECT_TRUE(std::holds_alternative<NeedsCopy>(*taken));
}

// A row that the undo wants to bring back exists already, because somebody meddled without a binary log: the
// server refuses, all of it is rolled back, and a copy is called for.
TEST_F(TakeBackTest, ARefusedUndoChangesNothing) {
  diverge({"DELETE FROM app.a WHERE id = 5", "DELETE FROM app.a WHERE id = 6", "SET SESSION sql_log_bin = 0",
           "INSERT INTO app.a (id) VALUES (5)"});
  EXPECT_NE(why_copy().find("the server refused the undo"), std::string::npos) << why_copy();
  EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.a WHERE id = 6"), "0");
}

// Taken back only from a server that nobody else writes to.
TEST_F(TakeBackTest, AWritableServerIsLeftAlone) {
  diverge({"DELETE FROM app.a WHERE id = 5"});
  const auto ordered = order();
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  execute(old_primary(), "SET GLOBAL read_only = 0");
  const auto taken = take_back(ordered, *saved);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().text.find("accepts writes"), std::string::npos) << taken.error().text;
}

// After the save somebody wrote more, with a privilege that passes read_only.
TEST_F(TakeBackTest, MoreThanWasSavedIsRefused) {
  diverge({"DELETE FROM app.a WHERE id = 5"});
  const auto ordered = order();
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  execute(old_primary(), "DELETE FROM app.a WHERE id = 6");
  const auto taken = take_back(ordered, *saved);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().text.find("saved anew"), std::string::npos) << taken.error().text;
  EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.a WHERE id = 5"), "0");
}

// Given once more after all is done, when the server is a replica that has gone on: nothing happens to it.
TEST_F(TakeBackTest, DoneIsDone) {
  diverge({"DELETE FROM app.a WHERE id = 5"});
  const auto ordered = order();
  const auto saved = save(ordered);
  PM_ASSERT_OK(saved);
  const auto taken = take_back(ordered, *saved);
  PM_ASSERT_OK(taken);
  ASSERT_TRUE(std::holds_alternative<Undone>(*taken));
  follow();
  execute(old_primary(), "STOP SLAVE");
  const auto executed = report(old_primary()).executed;
  auto again = ordered;
  again.keep = report(primary()).executed;
  PM_EXPECT_OK(take_back(again, *saved));
  EXPECT_EQ(report(old_primary()).executed, executed);
}

}  // namespace
}  // namespace pointsman::rescue
