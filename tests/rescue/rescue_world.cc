#include "tests/rescue/rescue_world.h"

#include <fstream>
#include <sstream>

#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/session.h"
#include "tests/testbed/installation.h"

namespace pointsman::rescue {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void RescueTest::start(Product product, std::vector<std::string> settings) {
  auto made = testbed::Cluster::create({.product = product, .servers = 2, .settings = std::move(settings)});
  ASSERT_TRUE(made) << made.error();
  cluster_ = std::move(*made);
  auto state = testbed::TempDirectory::create("rescue");
  ASSERT_TRUE(state) << state.error();
  state_ = std::make_unique<testbed::TempDirectory>(std::move(*state));
  const auto& accounts = cluster_->accounts();
  if (product == Product::mariadb) {  // what the header asks for
    execute(old_primary(), "GRANT BINLOG MONITOR, BINLOG REPLAY ON *.* TO " +
                               testbed::quote(accounts.monitor.user) + "@'%'");
  }
  if (product == Product::mysql) {
    mysqlbinlog_ = state_dir() / "mysqlbinlog";
    const auto written = testbed::write_mysqlbinlog(mysqlbinlog_);
    ASSERT_TRUE(written) << written.error();
  }
}

void RescueTest::diverge(const std::vector<std::string>& tail) {
  const auto caught_up = cluster_->wait_caught_up(primary(), old_primary(), 30s);
  ASSERT_TRUE(caught_up) << caught_up.error();
  execute(primary(), testbed::stop_replication(cluster_->product()));
  execute(primary(), mariadb() ? "RESET SLAVE ALL" : "RESET REPLICA ALL");
  const auto writable = cluster_->set_writable(primary(), true);
  ASSERT_TRUE(writable) << writable.error();
  execute_all(old_primary(), tail);
  const auto closed = cluster_->set_writable(old_primary(), false);
  ASSERT_TRUE(closed) << closed.error();
  execute(primary(), "CREATE TABLE IF NOT EXISTS app.after_failover (id INT AUTO_INCREMENT PRIMARY KEY)");
  execute(primary(), "INSERT INTO app.after_failover VALUES (), ()");
}

void RescueTest::execute(testbed::Server& server, const std::string& sql) {
  execute_all(server, {sql});
}

void RescueTest::execute_all(testbed::Server& server, const std::vector<std::string>& statements) {
  auto root = server.root();
  ASSERT_TRUE(root) << root.error().text;
  const auto done = root->execute_all(statements);
  EXPECT_TRUE(done) << done.error().text;
}

std::string RescueTest::scalar(testbed::Server& server, const std::string& sql) {
  auto root = server.root();
  if (!root) return root.error().text;
  const auto value = root->scalar(sql);
  return value ? *value : value.error().text;
}

core::ServerReport RescueTest::report(testbed::Server& server) {
  const mysql::Waker waker;
  const auto& login = cluster_->accounts().monitor;
  mysql::Session session({server.address(), {login.user, "", login.password}}, mysql::Session::Leftover::kill,
                         waker);
  const auto deadline = mysql::boot_now() + 20s;
  const auto opened = session.open(deadline);
  EXPECT_TRUE(opened) << opened.error().text;
  if (!opened) return {};
  auto told = session.report(deadline);
  EXPECT_TRUE(told) << told.error().text;
  return told ? std::move(*told) : core::ServerReport{};
}

Order RescueTest::order() {
  const auto& login = cluster_->accounts().monitor;
  const auto& reader = cluster_->accounts().replication;
  Order order;
  order.server = old_primary().name();
  order.address = old_primary().address();
  order.account = {login.user, "", login.password};
  order.reader = {reader.user, "", reader.password};
  order.flavour = mariadb() ? core::Flavour::mariadb : core::Flavour::mysql;
  order.keep = report(primary()).executed;
  order.errant = report(old_primary()).executed.minus(order.keep);
  order.state_dir = state_dir();
  order.binlog_program = mysqlbinlog_;
  return order;
}

std::string RescueTest::why_copy(const Order& ordered) {
  const auto saved = save(ordered);
  if (!saved) return "not saved: " + saved.error().text;
  const auto taken = take_back(ordered, *saved);
  if (!taken) return "failed: " + taken.error().text;
  const auto* copy = std::get_if<NeedsCopy>(&*taken);
  return copy != nullptr ? copy->why : "undone";
}

void RescueTest::follow() {
  const auto& accounts = cluster_->accounts();
  const mysql::Waker waker;
  mysql::Session session({old_primary().address(), {accounts.monitor.user, "", accounts.monitor.password}},
                         mysql::Session::Leftover::kill, waker);
  const auto opened = session.open(mysql::boot_now() + 20s);
  ASSERT_TRUE(opened) << opened.error().text;
  const mysql::CommandRunner::Settings settings{
      .replication = {accounts.replication.user, "", accounts.replication.password},
      .monitor_user = accounts.monitor.user,
      .heartbeat = 500ms};
  const auto result =
      mysql::CommandRunner(session, settings)(core::Follow{primary().address(), conf::SemiSync::off});
  ASSERT_TRUE(result) << result.error().text;
  ASSERT_TRUE(result->replica);
  EXPECT_EQ(result->replica->io_error, "");
  EXPECT_EQ(result->replica->sql_error, "");
  const auto caught_up = cluster_->wait_caught_up(old_primary(), primary(), 30s);
  ASSERT_TRUE(caught_up) << caught_up.error();
}

std::string RescueTest::checksums(testbed::Server& server) {
  auto root = server.root();
  if (!root) return root.error().text;
  const auto tables = root->query(
      "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app' ORDER BY TABLE_NAME");
  if (!tables) return tables.error().text;
  std::string text;
  for (const auto& row : tables->rows) {
    const auto sum = root->query("CHECKSUM TABLE app.`" + row.front().value_or("") + "`");
    if (!sum) return sum.error().text;
    text += row.front().value_or("") + " " + sum->value("Checksum") + "\n";
  }
  return text;
}

void RescueTest::expect_equal_data() {
  EXPECT_EQ(checksums(old_primary()), checksums(primary()));
}

void RescueTest::expect_no_errant() {
  const auto known = report(primary()).executed;
  const auto executed = report(old_primary()).executed;
  EXPECT_TRUE(known.contains(executed)) << executed.minus(known).to_string();
}

std::vector<fs::path> RescueTest::saved_directories() const {
  std::vector<fs::path> list;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(state_dir() / "rescue", none)) list.push_back(entry.path());
  return list;
}

}  // namespace pointsman::rescue
