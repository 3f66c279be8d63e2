#include <algorithm>
#include <memory>

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

class WriterLive : public testing::Test {
 protected:
  void SetUp() override {
    auto created = testbed::Server::create({.name = "writer", .settings = {"read_only = 0"}});
    ASSERT_TRUE(created) << created.error();
    server_ = std::move(*created);
    auto sql = server().root();
    ASSERT_TRUE(sql) << sql.error().text;
    const auto prepared =
        sql->execute_all({"CREATE DATABASE app", create_table_statement("app.writes"),
                          "CREATE USER app@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON app.* TO app@'%'"});
    ASSERT_TRUE(prepared) << prepared.error().text;
  }
  testbed::Server& server() { return *server_; }
  Writer::Options writes_of(unsigned run) {
    return {.connect = [this] { return server().connect({"app", "secret"}, "app"); },
            .table = "app.writes",
            .run = run};
  }

 private:
  std::unique_ptr<testbed::Server> server_;
};

// The server that a writer writes to is killed and started again: the writer notes the interruption, goes on
// by itself, and every row that it noted is there.
TEST_F(WriterLive, SurvivesARestart) {
  Writer writer(writes_of(3));
  ASSERT_TRUE(wait_for_commits(writer, {}, 20));
  const Moment killed = Clock::now();
  server().kill();
  const auto started = server().start();
  ASSERT_TRUE(started) << started.error();
  ASSERT_TRUE(wait_for_commits(writer, killed, 40));
  writer.stop();

  const auto interruptions = writer.interruptions();
  ASSERT_EQ(interruptions.size(), 1U);
  EXPECT_GE(interruptions[0].began, killed);
  EXPECT_GT(interruptions[0].connected, interruptions[0].began);
  EXPECT_GT(interruptions[0].committed, interruptions[0].connected);
  EXPECT_FALSE(interruptions[0].error.empty());

  auto again = server().root();
  ASSERT_TRUE(again) << again.error().text;
  const auto rows = again->query("SELECT n FROM app.writes WHERE run = 3 AND server = 1 ORDER BY n");
  ASSERT_TRUE(rows) << rows.error().text;
  std::vector<std::string> found;
  for (std::size_t i = 0; i < rows->rows.size(); ++i) found.push_back(rows->value("n", i));
  for (const Commit& commit : writer.record()) {
    EXPECT_NE(std::ranges::find(found, std::to_string(commit.number)), found.end()) << commit.number;
  }
}

// On schedule a writer commits when it is due and not before; what was due while the server was away is made
// up for, and a writer that waits for its turn stops at once.
TEST_F(WriterLive, KeepsToItsSchedule) {
  const Schedule schedule(Clock::now(), 100, 1);
  auto options = writes_of(1);
  options.schedule = schedule;
  Writer writer(options);
  ASSERT_TRUE(wait_for_commits(writer, {}, 20));
  const Moment killed = Clock::now();
  server().kill();
  std::this_thread::sleep_for(300ms);
  const auto started = server().start();
  ASSERT_TRUE(started) << started.error();
  const Moment back = Clock::now();
  ASSERT_TRUE(wait_for_commits(writer, killed, schedule.first_from(0, back)));
  writer.stop();

  const auto commits = writer.record();
  for (std::size_t i = 0; i < commits.size(); ++i)
    EXPECT_GE(commits[i].acknowledged, schedule.due(0, i)) << i;
  // Those that were due meanwhile came after the server was back, one after another.
  const std::uint64_t missed = schedule.first_from(0, killed) + 1;
  ASSERT_LT(missed, commits.size());
  EXPECT_GT(commits[missed].acknowledged - schedule.due(0, missed), 250ms);

  const Schedule rare(Clock::now(), 1, 100);
  options.run = 2;
  options.schedule = rare;
  Writer waiting(options);
  ASSERT_TRUE(wait_for_commits(waiting, {}, 1));
  const Moment asked = Clock::now();
  waiting.stop();  // the next is due in 100 s
  EXPECT_LT(Clock::now() - asked, 30s);
  EXPECT_EQ(waiting.commits(), 1U);
}

}  // namespace
}  // namespace pointsman::bench
