#include <algorithm>

#include <gtest/gtest.h>

#include "bench/writer.h"
#include "tests/testbed/server.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

bool wait_for_commits(const Writer& writer, Moment since, std::uint64_t count) {
  const auto deadline = Clock::now() + 60s;
  while (writer.committing_since() <= since || writer.commits() < count) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

// The server that a writer writes to is killed and started again: the writer notes the interruption, goes on
// by itself, and every row that it noted is there.
TEST(WriterLive, SurvivesARestart) {
  auto created = testbed::Server::create({.name = "writer", .settings = {"read_only = 0"}});
  ASSERT_TRUE(created) << created.error();
  testbed::Server& server = **created;
  auto sql = server.root();
  ASSERT_TRUE(sql) << sql.error().text;
  const testbed::Login login{"app", "secret"};
  const auto prepared =
      sql->execute_all({"CREATE DATABASE app", create_table_statement("app.writes"),
                        "CREATE USER app@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON app.* TO app@'%'"});
  ASSERT_TRUE(prepared) << prepared.error().text;

  Writer writer({.connect = [&] { return server.connect(login, "app"); }, .table = "app.writes", .run = 3});
  ASSERT_TRUE(wait_for_commits(writer, {}, 20));
  const Moment killed = Clock::now();
  server.kill();
  const auto started = server.start();
  ASSERT_TRUE(started) << started.error();
  ASSERT_TRUE(wait_for_commits(writer, killed, 40));
  writer.stop();

  const auto interruptions = writer.interruptions();
  ASSERT_EQ(interruptions.size(), 1U);
  EXPECT_GE(interruptions[0].began, killed);
  EXPECT_GT(interruptions[0].connected, interruptions[0].began);
  EXPECT_GT(interruptions[0].committed, interruptions[0].connected);
  EXPECT_FALSE(interruptions[0].error.empty());

  auto again = server.root();
  ASSERT_TRUE(again) << again.error().text;
  const auto rows = again->query("SELECT n FROM app.writes WHERE run = 3 AND server = 1 ORDER BY n");
  ASSERT_TRUE(rows) << rows.error().text;
  std::vector<std::string> found;
  for (std::size_t i = 0; i < rows->rows.size(); ++i) found.push_back(rows->value("n", i));
  for (const Commit& commit : writer.record()) {
    EXPECT_NE(std::ranges::find(found, std::to_string(commit.number)), found.end()) << commit.number;
  }
}

}  // namespace
}  // namespace pointsman::bench
