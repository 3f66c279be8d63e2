#include "health/verify/verify.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testbed/cluster.h"
#include "tests/testbed/daemon.h"
#include "tests/testbed/files.h"

namespace pointsman::verify {
namespace {

using testbed::Product;
using namespace std::chrono_literals;

// Writes on the primary, one statement after another, until it ends.
class Writer {
 public:
  Writer(testbed::Server& server, std::vector<std::string> statements)
      : thread_([&server, statements = std::move(statements), this](const std::stop_token& stop) {
          auto root = server.root();
          while (root && !stop.stop_requested()) {
            for (const auto& statement : statements) {
              if (!root->execute(statement)) return;
            }
            ++rounds;
            std::this_thread::sleep_for(5ms);  // a replica that falls behind for good is another story
          }
        }) {}

  std::atomic<unsigned> rounds{0};

 private:
  std::jthread thread_;
};

// A primary and a replica with tables of every kind.
class VerifyTest : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    auto made = testbed::Cluster::create(
        {.product = GetParam(),
         .servers = 2,
         .settings = GetParam() == Product::mariadb ? std::vector<std::string>{"slave_parallel_threads = 8"}
                                                    : std::vector<std::string>{}});
    ASSERT_TRUE(made) << made.error();
    cluster_ = std::move(*made);
    execute(
        primary(),
        {"GRANT SELECT ON *.* TO " + testbed::quote(cluster_->accounts().application.user) + "@'%'",
         "CREATE TABLE app.a (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), b LONGBLOB, d DATETIME(6), "
         "n DECIMAL(20,6), "
         "f FLOAT, g DOUBLE, e ENUM('x','y'), s SET('p','q'), t TIMESTAMP NULL, y YEAR, bits BIT(9))",
         "CREATE TABLE app.text_key (k VARCHAR(20) NOT NULL, n INT NOT NULL, v TEXT, PRIMARY KEY (k, n))",
         "CREATE TABLE app.binary_key (k VARBINARY(20) PRIMARY KEY, j JSON)",
         "CREATE TABLE app.keyless (v INT, t TEXT)",
         "CREATE TABLE app.latin (id INT PRIMARY KEY, v VARCHAR(100)) CHARACTER SET latin1",
         "CREATE TABLE app.`odd name` (`the key` INT PRIMARY KEY, `o'c` GEOMETRY)",
         "CREATE TABLE app.empty (id INT PRIMARY KEY)",
         "CREATE TABLE app.counter (id INT PRIMARY KEY, n BIGINT)", "INSERT INTO app.counter VALUES (1, 0)",
         "INSERT INTO app.a (v, b, d, n, f, g, e, s, t, y, bits) VALUES ('x', 'blob', NOW(6), 1.5, 0.1, "
         "1e300, 'y', 'p,q', NOW(), 1999, b'101')",
         "INSERT INTO app.latin VALUES (1, 'caf\u00e9')",
         "INSERT INTO app.`odd name` VALUES (1, ST_GeomFromText('POINT(1 2)'))"});
    for (int i = 0; i < 10; ++i)  // 1024 rows
      execute(primary(), {"INSERT INTO app.a (v, b, d, n, f, g, e, s, t, y, bits) SELECT CONCAT(v, id), "
                          "REPEAT('z', id), d, n + id, f, g, 'x', '', NULL, y, bits FROM app.a"});
    execute(primary(), {"INSERT INTO app.text_key SELECT CONCAT('K', id % 50), id, v FROM app.a",
                        "INSERT INTO app.binary_key SELECT CHAR(id, 255 - id % 256), '{\"a\": [1, 2]}' FROM "
                        "app.a WHERE id < 250",
                        "INSERT INTO app.keyless SELECT id % 7, v FROM app.a WHERE id < 100"});
    const auto caught_up = cluster_->wait_caught_up(replica(), primary(), 60s);
    ASSERT_TRUE(caught_up) << caught_up.error();
  }

  testbed::Server& primary() { return cluster_->server(0); }
  testbed::Server& replica() { return cluster_->server(1); }

  void execute(testbed::Server& server, const std::vector<std::string>& statements) {
    auto root = server.root();
    ASSERT_TRUE(root) << root.error().text;
    const auto done = root->execute_all(statements);
    EXPECT_TRUE(done) << done.error().text;
  }
  // Past replication, as an accident would.
  void spoil(const std::vector<std::string>& statements) {
    std::vector<std::string> all{"SET SESSION sql_log_bin = 0"};
    if (GetParam() == Product::mysql) all.emplace_back("SET GLOBAL super_read_only = 0");
    all.insert(all.end(), statements.begin(), statements.end());
    execute(replica(), all);
  }

  Order order() {
    const auto& account = cluster_->accounts().application;
    Order order;
    order.servers = {{"db2", replica().address()}, {"db1", primary().address()}};
    order.account = {account.user, "", account.password};
    order.chunk_rows = 100;
    order.replica_timeout = 30s;
    return order;
  }

  static std::string text_of(const Report& report) {
    std::string text;
    for (const auto& d : report.differences)
      text += d.server + " " + d.table + " [" + d.chunk + "] " + d.what + "\n";
    for (const auto& u : report.unknown) text += u.server + " " + u.table + " unknown: " + u.why + "\n";
    return text;
  }

  std::unique_ptr<testbed::Cluster> cluster_;
};

TEST_P(VerifyTest, EqualServers) {
  const auto report = run(order());
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(text_of(*report), "");
  EXPECT_TRUE(report->equal());
  EXPECT_EQ(report->primary, "db1");
  EXPECT_EQ(report->replicas, std::vector<std::string>{"db2"});
  EXPECT_EQ(report->tables, 8u);
  EXPECT_GT(report->rows, 2000u);
  EXPECT_GT(report->chunks, 20u);
}

// Four writers insert, change and delete everywhere without a pause, and one row changes all the time: still
// equal.
TEST_P(VerifyTest, EqualWhileWritersWrite) {
  std::vector<std::unique_ptr<Writer>> writers;
  for (const auto* id : {"1", "2"}) {
    writers.push_back(std::make_unique<Writer>(
        primary(), std::vector<std::string>{
                       "INSERT INTO app.a (v, n) VALUES ('new', RAND())",
                       std::string("UPDATE app.a SET v = RAND() WHERE id % 37 = ") + id,
                       "DELETE FROM app.keyless LIMIT 1", "INSERT INTO app.keyless VALUES (1, RAND())",
                       std::string("UPDATE app.text_key SET v = RAND() WHERE k = 'K") + id + "'"}));
  }
  writers.push_back(
      std::make_unique<Writer>(primary(), std::vector<std::string>{"UPDATE app.counter SET n = n + 1"}));
  const auto report = run(order());
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(text_of(*report), "");
  for (const auto& writer : writers) EXPECT_GT(writer->rounds, 0u);
}

// One row of a thousand differs by a NULL; one is missing; one is too many in a table without a key; floats
// differ in the last digits; a geometry; and the empty table is not empty.
TEST_P(VerifyTest, SaysWhatDiffers) {
  spoil({"UPDATE app.a SET t = '2000-01-01' WHERE id = (SELECT m FROM (SELECT MAX(id) m FROM app.a) x)",
         "DELETE FROM app.text_key WHERE k = 'K7' LIMIT 1", "INSERT INTO app.keyless VALUES (NULL, NULL)",
         "UPDATE app.latin SET v = 'cafe'", "UPDATE app.`odd name` SET `o'c` = ST_GeomFromText('POINT(1 3)')",
         "INSERT INTO app.empty VALUES (1)", "UPDATE app.binary_key SET j = '{}' LIMIT 1"});
  Writer writer(primary(), {"INSERT INTO app.a (v) VALUES ('new')", "UPDATE app.counter SET n = n + 1"});
  const auto report = run(order());
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_FALSE(report->equal());
  std::vector<std::string> tables;
  for (const auto& difference : report->differences) {
    EXPECT_EQ(difference.server, "db2");
    tables.push_back(difference.table);
    if (difference.table == "app.text_key") {
      EXPECT_NE(difference.what.find(" rows instead of "), std::string::npos);
    }
    if (difference.table == "app.a") {
      EXPECT_NE(difference.chunk.find("`id` > "), std::string::npos) << difference.chunk;
    }
    if (difference.table == "app.empty") {
      EXPECT_EQ(difference.what, "1 rows instead of 0");
    }
  }
  EXPECT_EQ(tables, (std::vector<std::string>{"app.a", "app.binary_key", "app.empty", "app.keyless",
                                              "app.latin", "app.odd name", "app.text_key"}))
      << text_of(*report);
  EXPECT_TRUE(report->unknown.empty()) << text_of(*report);
}

TEST_P(VerifyTest, TablesThatDiffer) {
  spoil({"CREATE TABLE app.more (id INT PRIMARY KEY)", "DROP TABLE app.latin",
         "ALTER TABLE app.empty ADD COLUMN extra INT"});
  const auto report = run(order());
  ASSERT_TRUE(report) << report.error().text;
  std::string text = text_of(*report);
  EXPECT_NE(text.find("db2 app.more [] is there and not on the primary"), std::string::npos) << text;
  EXPECT_NE(text.find("db2 app.latin [] is missing"), std::string::npos) << text;
  EXPECT_NE(text.find("db2 app.empty [] has other columns: "), std::string::npos) << text;
  EXPECT_EQ(report->differences.size(), 3u) << text;
}

// A replica that does not apply cannot be compared: not equal, and it is said why.
TEST_P(VerifyTest, AStoppedReplicaIsUnknown) {
  execute(replica(), {testbed::stop_replication(GetParam())});
  execute(primary(), {"DELETE FROM app.counter"});
  auto ordered = order();
  ordered.replica_timeout = 1s;
  const auto report = run(ordered);
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_FALSE(report->equal());
  EXPECT_NE(text_of(*report).find("db2  unknown: had not applied "), std::string::npos) << text_of(*report);
}

// An account that sees nothing would find nothing different.
TEST_P(VerifyTest, TheAccountMustSeeAll) {
  auto ordered = order();
  const auto& monitor = cluster_->accounts().monitor;
  ordered.account = {monitor.user, "", monitor.password};
  const auto report = run(ordered);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, core::FailureKind::denied);
  EXPECT_NE(report.error().text.find("GRANT SELECT ON *.*"), std::string::npos) << report.error().text;
}

// The operator's command: by its exit status, for people, and as JSON.
TEST_P(VerifyTest, Command) {
  const auto& account = cluster_->accounts().application;
  auto daemon = testbed::Daemon::prepare(testbed::Daemon::options_for(*cluster_));
  ASSERT_TRUE(daemon) << daemon.error();
  const auto password = (*daemon)->directory() / "verify.password";
  ASSERT_TRUE(testbed::write_file(password, account.password + "\n", 0600));
  const std::vector<std::string> words{"verify", "--user", account.user, "--password-file", password};
  const auto equal = (*daemon)->command(words);
  ASSERT_TRUE(equal) << equal.error();
  EXPECT_EQ(equal->code, 0) << equal->err << equal->out;
  EXPECT_TRUE(equal->out.starts_with("equal: db2 and db1 (8 tables, ")) << equal->out;

  spoil({"UPDATE app.counter SET n = 77"});
  const auto other = (*daemon)->command(words);
  ASSERT_TRUE(other) << other.error();
  EXPECT_EQ(other->code, 1);
  EXPECT_NE(other->out.find("differs db2: app.counter: other contents in 1 rows\n"), std::string::npos)
      << other->out;

  auto as_json = words;
  as_json.emplace_back("--json");
  const auto told = (*daemon)->command(as_json);
  ASSERT_TRUE(told) << told.error();
  const auto json = nlohmann::json::parse(told->out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << told->out;
  EXPECT_EQ(json["equal"], false);
  EXPECT_EQ(json["differences"][0]["table"], "app.counter");

  const auto blind = (*daemon)->command({"verify"});  // the monitor account
  ASSERT_TRUE(blind) << blind.error();
  EXPECT_EQ(blind->code, 1);
  EXPECT_NE(blind->err.find("GRANT SELECT ON *.*"), std::string::npos) << blind->err;
}

INSTANTIATE_TEST_SUITE_P(Products, VerifyTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(testbed::to_string(tested.param)); });

}  // namespace
}  // namespace pointsman::verify
