#include "tests/testbed/server.h"

#include <thread>

#include <gtest/gtest.h>

#include "tests/testbed/installation.h"

namespace pointsman::testbed {
namespace {

namespace fs = std::filesystem;

class ServerTest : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    auto made = Server::create({.product = GetParam(), .server_id = 7});
    ASSERT_TRUE(made) << made.error();
    server = std::move(*made);
  }
  std::string ask(const std::string& statement) const {
    auto sql = server->root();
    if (!sql) return sql.error().text;
    const auto value = sql->scalar(statement);
    return value ? *value : value.error().text;
  }
  void make_writable() const {
    if (GetParam() == Product::mysql) ask("SET GLOBAL super_read_only = OFF");
    ask("SET GLOBAL read_only = OFF");
  }
  std::unique_ptr<Server> server;
};

// A server out of the box has the settings that the README recommends, and none that weakens its durability.
TEST_P(ServerTest, BootsReadOnlyAndDurable) {
  EXPECT_EQ(ask("SELECT @@server_id"), "7");
  EXPECT_EQ(ask("SELECT @@read_only"), "1");
  EXPECT_EQ(ask("SELECT @@log_bin"), "1");
  EXPECT_EQ(ask("SELECT @@binlog_format"), "ROW");
  EXPECT_EQ(ask("SELECT @@sync_binlog"), "1");
  EXPECT_EQ(ask("SELECT @@innodb_flush_log_at_trx_commit"), "1");
  EXPECT_EQ(ask("SELECT @@innodb_doublewrite"), GetParam() == Product::mariadb ? "1" : "ON");
  if (GetParam() == Product::mariadb) {
    EXPECT_EQ(ask("SELECT @@gtid_strict_mode"), "1");
    EXPECT_EQ(ask("SELECT @@log_slave_updates"), "1");
  } else {
    EXPECT_EQ(ask("SELECT @@gtid_mode"), "ON");
    EXPECT_EQ(ask("SELECT @@super_read_only"), "1");
    EXPECT_EQ(ask("SELECT @@log_replica_updates"), "1");
    EXPECT_EQ(ask("SELECT @@gtid_executed"), "");
  }
}

// Nobody gets in by TCP: root's account without a password is for the socket in the private folder alone.
TEST_P(ServerTest, AdmitsRootByTheSocketOnly) {
  const auto by_tcp = server->connect({"root", ""});
  ASSERT_FALSE(by_tcp);
  EXPECT_TRUE(by_tcp.error().code == 1045 || by_tcp.error().code == 1130) << by_tcp.error().text;
  EXPECT_EQ(ask("SELECT COUNT(*) FROM mysql.user WHERE user = '' OR (user = 'root' AND host <> 'localhost')"),
            "0");
}

// Killed, what was committed is there after the next start; the port and the folder stay the same.
TEST_P(ServerTest, KeepsWhatWasCommittedWhenKilled) {
  make_writable();
  ask("CREATE DATABASE d");
  ask("CREATE TABLE d.t (id INT PRIMARY KEY)");
  ask("INSERT INTO d.t VALUES (17)");
  const conf::HostPort address = server->address();
  server->kill();
  EXPECT_FALSE(server->running());
  const auto refused = server->root();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, 2002U);
  const auto started = server->start();
  ASSERT_TRUE(started) << started.error();
  EXPECT_EQ(ask("SELECT id FROM d.t"), "17");
  EXPECT_EQ(ask("SELECT @@read_only"), "1");
  EXPECT_EQ(server->address(), address);
  const auto stopped = server->stop();
  EXPECT_TRUE(stopped) << stopped.error();
  EXPECT_FALSE(server->running());
}

// Frozen, it answers nobody and is alive; thawed, it goes on.
TEST_P(ServerTest, FreezesAndThaws) {
  auto sql = Sql::connect({.socket = server->socket_path(), .timeout = std::chrono::seconds(1)});
  ASSERT_TRUE(sql);
  ASSERT_TRUE(server->freeze());
  EXPECT_FALSE(sql->query("SELECT 1"));
  EXPECT_TRUE(server->running());
  ASSERT_TRUE(server->thaw());
  EXPECT_EQ(ask("SELECT 1"), "1");
}

// A setting of the caller wins over ours, from the next start.
TEST_P(ServerTest, TakesSettings) {
  ASSERT_TRUE(server->set_settings({"max_connections = 33"}));
  ASSERT_TRUE(server->stop());
  const auto started = server->start();
  ASSERT_TRUE(started) << started.error();
  EXPECT_EQ(ask("SELECT @@max_connections"), "33");
}

// A server that cannot start says why, out of its own log, and does not keep the caller for its whole
// timeout.
TEST_P(ServerTest, SaysWhyItDoesNotStart) {
  ASSERT_TRUE(server->set_settings({"no_such_setting_at_all = 1"}));
  ASSERT_TRUE(server->stop());
  const auto started = server->start();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().contains("no_such_setting_at_all")) << started.error();
}

// Two servers of one product run side by side, each with its identity, and leave nothing behind.
TEST_P(ServerTest, LivesBesideAnotherAndLeavesNothing) {
  fs::path folder;
  {
    auto other = Server::create({.product = GetParam(), .name = "other", .server_id = 8});
    ASSERT_TRUE(other) << other.error();
    folder = (*other)->directory();
    EXPECT_NE((*other)->address().port, server->address().port);
    if (GetParam() == Product::mysql) {
      EXPECT_NE((*other)->root()->scalar("SELECT @@server_uuid"),
                server->root()->scalar("SELECT @@server_uuid"));
    }
  }
  EXPECT_FALSE(fs::exists(folder));
}

INSTANTIATE_TEST_SUITE_P(Products, ServerTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

// Two callers that both find no template, as tests side by side do on a new machine: one makes it, both get a
// directory.
TEST(InstallationTest, MakesOneTemplateForTwoCallers) {
  const auto cache = TempDirectory::create("cache");
  ASSERT_TRUE(cache);
  const auto installation = Installation::find(Product::mariadb);
  ASSERT_TRUE(installation) << installation.error();
  ::setenv("POINTSMAN_CACHE", cache->path().c_str(), 1);
  std::expected<void, std::string> first;
  std::expected<void, std::string> second;
  {
    const std::jthread a([&] { first = installation->make_data_directory(cache->path() / "first"); });
    const std::jthread b([&] { second = installation->make_data_directory(cache->path() / "second"); });
  }
  ::unsetenv("POINTSMAN_CACHE");
  EXPECT_TRUE(first) << first.error();
  EXPECT_TRUE(second) << second.error();
  EXPECT_TRUE(fs::exists(cache->path() / "first/ibdata1"));
  EXPECT_TRUE(fs::exists(cache->path() / "second/ibdata1"));
  std::size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(cache->path() / "data"))
    folders += entry.is_directory() ? 1 : 0;
  EXPECT_EQ(folders, 1U);
}

}  // namespace
}  // namespace pointsman::testbed
