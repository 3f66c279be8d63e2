#include <string>

#include <gtest/gtest.h>

#include "tests/testbed/accounts.h"
#include "tests/testbed/cluster.h"
#include "tests/testbed/network.h"
#include "tests/testbed/server.h"

namespace pointsman::testbed {
namespace {

// What `statement` gives on the server, or the error's text.
std::string ask(const Server& server, const std::string& statement) {
  auto sql = server.root();
  if (!sql) return sql.error().text;
  const auto value = sql->scalar(statement);
  return value ? *value : value.error().text;
}

// 0: the replica has applied `gtid`; -1: not within so many seconds.
std::string wait_for_gtid(const Server& replica, const std::string& gtid, int seconds) {
  return ask(replica, "SELECT MASTER_GTID_WAIT('" + gtid + "', " + std::to_string(seconds) + ")");
}

// Two MariaDB servers on two hosts replicate over the switch between them. The primary's cable is pulled:
// nothing arrives any more, though both servers are alive. Plugged in again, the replica catches up by
// itself.
TEST(NetworkLive, ReplicationStopsAndResumesWithTheCable) {
  if (const std::string why = Network::why_not(); !why.empty()) GTEST_SKIP() << why;
  const auto network = Network::create({"db1", "db2"});
  ASSERT_TRUE(network) << network.error();
  const auto start = [&](const std::string& host, std::uint32_t id) {
    return Server::create({.name = host,
                           .server_id = id,
                           .port = 3306,
                           .host = (*network)->address(host),
                           .network_namespace = (*network)->path(host)});
  };
  const auto primary = start("db1", 1);
  ASSERT_TRUE(primary) << primary.error();
  const auto replica = start("db2", 2);
  ASSERT_TRUE(replica) << replica.error();

  const Accounts accounts;
  auto root = (*primary)->root();
  ASSERT_TRUE(root) << root.error().text;
  ASSERT_TRUE(root->execute("SET GLOBAL read_only = OFF"));
  ASSERT_TRUE(root->execute_all(account_statements(Product::mariadb, accounts)));
  ASSERT_TRUE((*replica)->root()->execute_all(
      {follow_statement(Product::mariadb, (*primary)->address(), accounts.replication),
       start_replication(Product::mariadb)}));
  ASSERT_TRUE(root->execute("CREATE TABLE app.t (id INT PRIMARY KEY)"));
  EXPECT_EQ(wait_for_gtid(**replica, *executed_gtids(*root, Product::mariadb), 30), "0");

  const auto cut = (*network)->cut("db1");
  ASSERT_TRUE(cut) << cut.error();
  ASSERT_TRUE(root->execute("INSERT INTO app.t VALUES (1)"));
  const std::string last = *executed_gtids(*root, Product::mariadb);
  EXPECT_EQ(wait_for_gtid(**replica, last, 1), "-1");
  const auto mended = (*network)->mend("db1");
  ASSERT_TRUE(mended) << mended.error();
  EXPECT_EQ(wait_for_gtid(**replica, last, 60), "0");
  EXPECT_EQ(ask(**replica, "SELECT COUNT(*) FROM app.t"), "1");
}

// A client on another host reaches the server by its address, while root() goes by the socket from anywhere.
TEST(NetworkLive, ServerIsReachedFromAnotherHost) {
  if (const std::string why = Network::why_not(); !why.empty()) GTEST_SKIP() << why;
  const auto network = Network::create({"db1", "client"});
  ASSERT_TRUE(network) << network.error();
  const auto server = Server::create(
      {.name = "db1", .host = (*network)->address("db1"), .network_namespace = (*network)->path("db1")});
  ASSERT_TRUE(server) << server.error();
  auto root = (*server)->root();
  ASSERT_TRUE(root) << root.error().text;
  ASSERT_TRUE(root->execute("SET GLOBAL read_only = OFF"));
  const Accounts accounts;
  ASSERT_TRUE(root->execute_all(account_statements(Product::mariadb, accounts)));
  const auto inside = (*network)->inside("client");
  ASSERT_TRUE(inside) << inside.error();
  const auto sql = (*server)->connect(accounts.application);
  EXPECT_TRUE(sql) << sql.error().text;
}

}  // namespace
}  // namespace pointsman::testbed
