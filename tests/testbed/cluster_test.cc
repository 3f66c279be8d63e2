#include "tests/testbed/cluster.h"

#include <gtest/gtest.h>

#include "tests/testbed/done.h"

namespace pointsman::testbed {
namespace {

constexpr std::chrono::seconds plenty{30};

class ClusterTest : public testing::TestWithParam<Product> {
 protected:
  std::string ask(const Server& server, const std::string& statement, const std::string& column = "") const {
    auto sql = server.root();
    if (!sql) return sql.error().text;
    const auto result = sql->query(statement);
    if (!result) return result.error().text;
    return column.empty() ? result->scalar() : result->value(column);
  }
  std::string name(const char* mariadb, const char* mysql) const {
    return GetParam() == Product::mariadb ? mariadb : mysql;
  }
};

// A primary and two replicas: the application's row, and its account, arrive on both; only the primary takes
// writes.
TEST_P(ClusterTest, ReplicatesFromOnePrimaryToAll) {
  auto made = Cluster::create({.product = GetParam(), .servers = 3});
  ASSERT_TRUE(made) << made.error();
  Cluster& cluster = **made;
  auto app = cluster.server(0).connect(cluster.accounts().application, "app");
  ASSERT_TRUE(app) << app.error().text;
  ASSERT_TRUE(app->execute("CREATE TABLE t (id INT PRIMARY KEY)"));
  ASSERT_TRUE(app->execute("INSERT INTO t VALUES (5)"));
  for (std::size_t i : {1U, 2U}) {
    const auto caught_up = cluster.wait_caught_up(cluster.server(i), cluster.server(0), plenty);
    ASSERT_TRUE(caught_up) << caught_up.error();
    auto replica = cluster.server(i).connect(cluster.accounts().application, "app");
    ASSERT_TRUE(replica) << replica.error().text;
    EXPECT_EQ(replica->scalar("SELECT id FROM t"), "5");
    EXPECT_EQ(replica->execute("INSERT INTO t VALUES (6)").error().code, 1290U);
    const std::string by_gtid =
        ask(cluster.server(i), show_replication(GetParam()), name("Using_Gtid", "Auto_Position"));
    EXPECT_EQ(by_gtid, name("Slave_Pos", "1"));
  }
  EXPECT_EQ(cluster.find("db3"), &cluster.server(2));
  EXPECT_EQ(cluster.find("db9"), nullptr);
}

// With semi-sync a commit waits for a replica from the start, and a server that boots does so as a replica
// that acknowledges.
TEST_P(ClusterTest, CommitsWaitForAReplicaWithSemiSync) {
  auto made = Cluster::create({.product = GetParam(), .servers = 2, .semi_sync = true});
  ASSERT_TRUE(made) << made.error();
  Cluster& cluster = **made;
  const std::string acknowledged = name("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_yes_tx'",
                                        "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_yes_tx'");
  const int before = std::stoi(ask(cluster.server(0), acknowledged, "Value"));
  auto app = cluster.server(0).connect(cluster.accounts().application, "app");
  ASSERT_TRUE(app);
  ASSERT_TRUE(app->execute("CREATE TABLE t (id INT PRIMARY KEY)"));
  EXPECT_EQ(std::stoi(ask(cluster.server(0), acknowledged, "Value")), before + 1);

  const std::string as_replica =
      name("SELECT @@rpl_semi_sync_slave_enabled", "SELECT @@rpl_semi_sync_replica_enabled");
  const std::string as_primary =
      name("SELECT @@rpl_semi_sync_master_enabled", "SELECT @@rpl_semi_sync_source_enabled");
  cluster.server(0).kill();
  ASSERT_TRUE(done(cluster.server(0).start()));
  EXPECT_EQ(ask(cluster.server(0), as_replica), "1");
  EXPECT_EQ(ask(cluster.server(0), as_primary), "0");
}

// A replica that does not get on is told of, with the server's own reason, after the time given.
TEST_P(ClusterTest, SaysWhyAReplicaDoesNotCatchUp) {
  auto made = Cluster::create({.product = GetParam(), .servers = 2});
  ASSERT_TRUE(made) << made.error();
  Cluster& cluster = **made;
  auto replica = cluster.server(1).root();
  ASSERT_TRUE(replica);
  ASSERT_TRUE(replica->execute(stop_replication(GetParam())));
  auto app = cluster.server(0).connect(cluster.accounts().application, "app");
  ASSERT_TRUE(app);
  ASSERT_TRUE(app->execute("CREATE TABLE t (id INT PRIMARY KEY)"));
  const auto caught_up =
      cluster.wait_caught_up(cluster.server(1), cluster.server(0), std::chrono::seconds(1));
  ASSERT_FALSE(caught_up);
  EXPECT_TRUE(caught_up.error().contains("db2 has not applied")) << caught_up.error();
}

INSTANTIATE_TEST_SUITE_P(Products, ClusterTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

}  // namespace
}  // namespace pointsman::testbed
