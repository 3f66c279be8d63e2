#include <csignal>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/proxy/proxy_under_test.h"
#include "tests/testbed/accounts.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"
#include "tests/testbed/server.h"
#include "tests/testbed/sql.h"

// The relay in front of a real server, spoken to by a real client library.
namespace pointsman::proxy {
namespace {

class RelayedServer : public testing::Test {
 protected:
  void SetUp() override {
    auto created = testbed::Server::create({.name = "relayed"});
    ASSERT_TRUE(created) << created.error();
    server_ = std::move(*created);
    auto root = server_->root();
    ASSERT_TRUE(root) << root.error().text;
    const auto done = root->execute_all(testbed::account_statements(testbed::Product::mariadb, accounts_));
    ASSERT_TRUE(done) << done.error().text;
    options_ = quick_options();
    proxy_ = std::make_unique<ProxyUnderTest>(options_);
  }

  RoutePtr route(Route::Mode mode = Route::Mode::open) const {
    return route_to(*io::Address::numeric(server_->address()), mode);
  }
  std::expected<testbed::Sql, testbed::SqlError> log_in() const {
    return testbed::Sql::connect({.address = proxy_->workers().listening().front(),
                                  .login = accounts_.application,
                                  .database = accounts_.database});
  }

  testbed::Accounts accounts_;
  std::unique_ptr<testbed::Server> server_;
  conf::Proxy options_;
  std::unique_ptr<ProxyUnderTest> proxy_;
};

// An application logs in, reads a large result and sends a large statement.
TEST_F(RelayedServer, LargeResultsAndStatements) {
  proxy_->set_route(route());
  auto sql = log_in();
  ASSERT_TRUE(sql) << sql.error().text;
  const auto rows = sql->query("SELECT seq, REPEAT(CHAR(65 + seq % 26), 10000) FROM seq_1_to_2000");
  ASSERT_TRUE(rows) << rows.error().text;
  ASSERT_EQ(rows->rows.size(), 2000u);
  EXPECT_EQ(rows->rows[1999][1], std::string(10000, static_cast<char>('A' + 2000 % 26)));
  const auto length = sql->scalar("SELECT LENGTH('" + std::string(8'000'000, 'x') + "')");
  ASSERT_TRUE(length) << length.error().text;
  EXPECT_EQ(*length, "8000000");
}

// One client asks for a gigabyte and stops reading: nothing of it is stored here, the server gives it up by
// its net_write_timeout, and the others are served as before.
TEST_F(RelayedServer, OneThatReadsNothing) {
  proxy_->set_route(route());
  auto other = log_in();
  ASSERT_TRUE(other) << other.error().text;
  const std::size_t before = resident_bytes();
  const auto address = proxy_->workers().listening().front();
  auto reader = testbed::Process::start(
      {.argv = {"mariadb", "--no-defaults", "--quick", "--host=" + address.host,
                "--port=" + std::to_string(address.port), "--user=" + accounts_.application.user,
                "--password=" + accounts_.application.password, "--database=" + accounts_.database,
                "--execute",
                "SET SESSION net_write_timeout = 2; SELECT REPEAT('x', 1000000) FROM seq_1_to_1000"},
       .output = server_->data_directory() / "reader.log"});
  ASSERT_TRUE(reader) << reader.error();
  const auto relayed = [this] { return proxy_->workers().counts().bytes_from_servers; };
  ASSERT_TRUE(eventually([&] { return relayed() > 5'000'000; }))
      << testbed::read_tail(server_->data_directory() / "reader.log", 1000);
  ASSERT_EQ(::kill(reader->pid(), SIGSTOP), 0);
  const auto runs = [&] {
    return other->scalar(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%REPEAT%' AND id <> "
        "CONNECTION_ID()");
  };
  for (auto answer = runs(); answer != "0"; answer = runs()) {
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_LT(resident_bytes(), before + (std::size_t{32} << 20));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LT(relayed(), 900'000'000U);
  ASSERT_EQ(::kill(reader->pid(), SIGCONT), 0);
  const auto end = reader->wait(std::chrono::seconds(30));
  ASSERT_TRUE(end);
  EXPECT_NE(end->code, 0);
  EXPECT_TRUE(eventually([this] {
    const auto ended = proxy_->workers().counts().ended;
    return ended[index(SessionEnd::server)] + ended[index(SessionEnd::server_lost)] == 1;
  }));
}

// Applications connect while no primary is routed; when one is, their logins go through as if nothing had
// been.
TEST_F(RelayedServer, HeldLoginsGoThrough) {
  constexpr int applications = 8;
  proxy_->set_route(closed_route("electing"));
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < applications; ++i) {
    answers.push_back(std::async(std::launch::async, [&, i] {
      auto sql = log_in();
      return sql ? sql->scalar("SELECT " + std::to_string(i)).value_or("query failed") : sql.error().text;
    }));
  }
  ASSERT_TRUE(proxy_->eventually_held(applications));
  proxy_->set_route(route());
  for (int i = 0; i < applications; ++i)
    EXPECT_EQ(answers[static_cast<std::size_t>(i)].get(), std::to_string(i));
}

// The server is killed: a session sees it at once, a new client waits, and is served when the server is back,
// without anybody having touched the route.
TEST_F(RelayedServer, KilledAndStartedAgain) {
  proxy_->set_route(route());
  auto sql = log_in();
  ASSERT_TRUE(sql) << sql.error().text;
  server_->kill();
  const auto lost = sql->execute("SELECT 1");
  ASSERT_FALSE(lost);
  EXPECT_TRUE(lost.error().code == 2006 || lost.error().code == 2013) << lost.error().text;
  auto next = std::async(std::launch::async, [&] {
    auto again = log_in();
    return again ? again->scalar("SELECT 'back'").value_or("query failed") : again.error().text;
  });
  ASSERT_TRUE(proxy_->eventually_held(1));
  const auto started = server_->start();
  ASSERT_TRUE(started) << started.error();
  EXPECT_EQ(next.get(), "back");
}

// A statement runs when draining begins: it ends and its result arrives; the next one waits until the route
// opens again.
TEST_F(RelayedServer, DrainingLetsAStatementEnd) {
  proxy_->set_route(route());
  auto sql = log_in();
  auto root = server_->root();
  ASSERT_TRUE(sql && root);
  ASSERT_TRUE(root->execute("DO GET_LOCK('pointsman', 10)"));
  auto result =
      std::async(std::launch::async, [&] { return sql->scalar("SELECT GET_LOCK('pointsman', 30)"); });
  const auto waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'";
  ASSERT_TRUE(eventually([&] { return root->scalar(waiting).value_or("") == "1"; }));
  proxy_->set_route(route(Route::Mode::draining));
  ASSERT_TRUE(root->execute("DO RELEASE_LOCK('pointsman')"));
  EXPECT_EQ(result.get().value_or("lost"), "1");
  auto next = std::async(std::launch::async, [&] { return sql->scalar("SELECT 'later'"); });
  proxy_->set_route(route());
  EXPECT_EQ(next.get().value_or("lost"), "later");
}

}  // namespace
}  // namespace pointsman::proxy
