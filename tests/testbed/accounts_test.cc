#include "tests/testbed/accounts.h"

#include <gtest/gtest.h>

#include "tests/testbed/cluster.h"

namespace pointsman::testbed {
namespace {

// Everything that Pointsman says to a server, in an order in which it can be said again; $client and $root
// are connections of an application and of root.
std::vector<std::string> statements(Product product) {
  if (product == Product::mariadb) {
    return {
        "SHOW ALL SLAVES STATUS",
        "SHOW BINARY LOGS",
        "SET SESSION gtid_domain_id = 7",
        "SET SESSION gtid_domain_id = 0",
        "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'",
        "SELECT @@gtid_binlog_pos, @@gtid_slave_pos, @@gtid_current_pos, @@gtid_binlog_state",
        "SELECT 1/COUNT(*), SUM(id) FROM information_schema.processlist WHERE user = 'app'",
        "KILL $client",
        "KILL $root",
        "STOP ALL SLAVES",
        "RESET SLAVE ALL",
        "SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos",
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x', MASTER_USE_GTID=slave_pos",
        "START SLAVE",
        "STOP SLAVE IO_THREAD",
        "SELECT MASTER_GTID_WAIT(@@gtid_slave_pos, 1)",
        "STOP SLAVE",
        "INSERT INTO mysql.innodb_table_stats (database_name, table_name, n_rows, clustered_index_size, "
        "sum_of_other_index_sizes) VALUES ('pointsman', 'prompt', 0, 0, 0)",
        "DELETE FROM mysql.innodb_table_stats WHERE database_name = 'pointsman'",
        "SET GLOBAL rpl_semi_sync_master_enabled = ON, GLOBAL rpl_semi_sync_master_timeout = 1000",
        "SET GLOBAL rpl_semi_sync_slave_enabled = ON",
        "SET GLOBAL rpl_semi_sync_slave_enabled = OFF",
        "SET GLOBAL read_only = ON",
        "SET GLOBAL read_only = OFF",
        "SELECT 1/COUNT(*) FROM information_schema.events WHERE event_name = 'nightly'",
        "ALTER DEFINER = 'app'@'%' EVENT app.nightly ENABLE"};
  }
  return {"SHOW REPLICA STATUS", "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'",
          "SELECT @@gtid_executed, @@server_uuid",
          "SELECT * FROM performance_schema.replication_connection_status",
          "SELECT * FROM performance_schema.replication_applier_status_by_coordinator JOIN "
          "performance_schema.threads USING (THREAD_ID)",
          "SELECT 1/COUNT(*) FROM performance_schema.processlist WHERE user = 'app'", "KILL $client",
          "KILL $root",
          "INSERT INTO mysql.innodb_table_stats (database_name, table_name, n_rows, clustered_index_size, "
          "sum_of_other_index_sizes) VALUES ('pointsman', 'prompt', 0, 0, 0)",
          "DELETE FROM mysql.innodb_table_stats WHERE database_name = 'pointsman'", "STOP REPLICA",
          "RESET REPLICA ALL",
          "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_AUTO_POSITION=1",
          "START REPLICA", "STOP REPLICA IO_THREAD", "SELECT WAIT_FOR_EXECUTED_GTID_SET(@@gtid_executed, 1)",
          "STOP REPLICA",
          "SET GLOBAL rpl_semi_sync_source_enabled = ON, GLOBAL rpl_semi_sync_source_timeout = 1000",
          "SET GLOBAL rpl_semi_sync_replica_enabled = ON", "SET GLOBAL super_read_only = ON",
          "SET GLOBAL offline_mode = ON", "SET GLOBAL offline_mode = OFF", "SET GLOBAL super_read_only = OFF",
          "SET GLOBAL read_only = OFF",
          "SELECT 1/COUNT(*) FROM information_schema.events WHERE event_name = 'nightly'",
          "ALTER DEFINER = 'app'@'%' EVENT app.nightly ENABLE",
          // Asks for the same privilege as BINLOG, which takes events of this very version.
          "PURGE BINARY LOGS BEFORE '2000-01-01'"};
}

class AccountsTest : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    auto made = Cluster::create({.product = GetParam(), .servers = 1});
    ASSERT_TRUE(made) << made.error();
    cluster = std::move(*made);
    auto root = server().root();
    ASSERT_TRUE(root);
    for (const std::string& statement :
         {std::string("CREATE TABLE app.t (id INT)"),
          std::string("CREATE DEFINER = 'app'@'%' EVENT app.nightly ON SCHEDULE EVERY 1 DAY DO INSERT INTO "
                      "app.t VALUES (1)")}) {
      const auto done = root->execute(statement);
      ASSERT_TRUE(done) << done.error().text;
    }
  }

  Server& server() { return cluster->server(0); }

  // What the monitor account is refused, or answered with NULL for want of a privilege.
  std::vector<std::string> refused() {
    std::vector<std::string> found;
    const Accounts& accounts = cluster->accounts();
    const auto client = server().connect(accounts.application);
    const auto root = server().root();
    auto monitor = server().connect(accounts.monitor);
    if (!client || !root || !monitor) return {"cannot connect"};
    for (std::string statement : statements(GetParam())) {
      if (statement == "KILL $client") statement = "KILL " + std::to_string(client->connection_id());
      if (statement == "KILL $root") statement = "KILL " + std::to_string(root->connection_id());
      const auto result = monitor->query(statement);
      const bool unseen = result && statement.starts_with("SELECT 1/") && result->scalar().empty();
      if (!result) found.push_back(statement + ": " + result.error().text);
      if (unseen) found.push_back(statement + ": sees none");
    }
    return found;
  }

  // Whatever the account was not allowed to undo.
  void tidy() {
    auto root = server().root();
    ASSERT_TRUE(root);
    for (const char* statement : {"DELETE FROM mysql.innodb_table_stats WHERE database_name = 'pointsman'",
                                  stop_replication(GetParam()),
                                  GetParam() == Product::mariadb ? "RESET SLAVE ALL" : "RESET REPLICA ALL",
                                  "SET GLOBAL read_only = OFF"}) {
      const auto done = root->execute(statement);
      ASSERT_TRUE(done) << done.error().text;
    }
  }

  std::unique_ptr<Cluster> cluster;
};

// The monitor account may do all that Pointsman does, and nothing that it was given is superfluous: without
// any one of its privileges something is refused.
TEST_P(AccountsTest, MonitorHasWhatItNeedsAndNoMore) {
  EXPECT_EQ(refused(), std::vector<std::string>());
  tidy();
  std::vector<std::string> privileges;
  for (const std::string_view privilege : monitor_privileges(GetParam()))
    privileges.push_back(std::string(privilege) + " ON *.*");
  for (const char* privilege : {"SELECT", "INSERT", "DELETE"})
    privileges.push_back(std::string(privilege) + " ON mysql.innodb_table_stats");
  for (const std::string& privilege : privileges) {
    auto root = server().root();
    ASSERT_TRUE(root);
    const auto revoked = root->execute("REVOKE " + privilege + " FROM 'pointsman'@'%'");
    ASSERT_TRUE(revoked) << revoked.error().text;
    EXPECT_NE(refused(), std::vector<std::string>()) << privilege << " is not needed";
    const auto granted = root->execute("GRANT " + privilege + " TO 'pointsman'@'%'");
    ASSERT_TRUE(granted) << granted.error().text;
    tidy();
  }
}

// The monitor account reads and changes none of the application's data.
TEST_P(AccountsTest, MonitorSeesNoData) {
  auto monitor = server().connect(cluster->accounts().monitor);
  ASSERT_TRUE(monitor);
  EXPECT_EQ(monitor->query("SELECT * FROM app.t").error().code, 1142U);
  EXPECT_EQ(monitor->execute("INSERT INTO app.t VALUES (1)").error().code, 1142U);
}

// The application's account is stopped by read_only, as it must have no privilege that passes it.
TEST_P(AccountsTest, ApplicationObeysReadOnly) {
  auto app = server().connect(cluster->accounts().application, "app");
  ASSERT_TRUE(app);
  ASSERT_TRUE(app->execute("INSERT INTO t VALUES (1)"));
  ASSERT_TRUE(cluster->set_writable(server(), false));
  EXPECT_EQ(app->execute("INSERT INTO t VALUES (2)").error().code, 1290U);
}

INSTANTIATE_TEST_SUITE_P(Products, AccountsTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

}  // namespace
}  // namespace pointsman::testbed
