// An endpoint that is one real server, killed and started by commands as a person would write them.
#include <atomic>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "bench/against.h"
#include "tests/testbed/server.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class AgainstLive : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = testbed::TempDirectory::create("against");
    ASSERT_TRUE(folder) << folder.error();
    folder_ = std::move(*folder);
    auto created = testbed::Server::create({.name = "endpoint", .settings = {"read_only = 0"}});
    ASSERT_TRUE(created) << created.error();
    server_ = std::move(*created);
    auto sql = server_->root();
    ASSERT_TRUE(sql) << sql.error().text;
    const auto prepared =
        sql->execute_all({"CREATE DATABASE bench", "CREATE USER bench@'%' IDENTIFIED BY 'secret'",
                          "GRANT ALL ON bench.* TO bench@'%'"});
    ASSERT_TRUE(prepared) << prepared.error().text;
    note_pid();
    options_.file.endpoint.address = server_->address();
    options_.file.endpoint.user = "bench";
    options_.file.endpoint.password = "secret";
    options_.file.endpoint.database = "bench";
    options_.file.commands.kill = "kill -KILL $(cat " + path("pid") + ")";
    options_.file.commands.restore_after = 1s;
    options_.file.commands.clean_up = "touch " + path("cleaned");
    options_.runs = 1;
    options_.clients = 2;
    // Stands for the host's service manager; the server must end with this test, whatever becomes of it.
    starter_ = std::jthread([this](const std::stop_token& stop) { start_when_asked(stop); });
  }
  void TearDown() override {
    starter_ = {};
    server_.reset();
  }

  std::string path(const char* name) const { return (folder_.path() / name).string(); }
  std::string wait_command() const {
    return "while [ ! -e " + path("started") + " ]; do sleep 0.05; done; rm " + path("started");
  }
  // "systemctl start": asks, and waits until the server is there.
  std::string start_command() const { return "touch " + path("wanted") + "; " + wait_command(); }
  void note_pid() const {
    ASSERT_TRUE(testbed::write_file(path("pid"), std::to_string(server_->pid()) + "\n"));
  }
  void start_when_asked(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (fs::remove(path("wanted"))) {
        server_->kill();  // collects what the command killed
        const auto started = server_->start();
        EXPECT_TRUE(started) << started.error();
        note_pid();
        EXPECT_TRUE(testbed::write_file(path("started"), ""));
      }
      std::this_thread::sleep_for(10ms);
    }
  }
  std::string tables() {
    auto sql = server_->root();
    return sql ? sql->scalar("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'bench'")
                     .value_or("?")
               : "?";
  }
  AgainstBench bench() {
    return {options_, [] { return false; }, [this](const std::string& line) { said_ += line + "\n"; }};
  }

  testbed::TempDirectory folder_;
  std::unique_ptr<testbed::Server> server_;
  AgainstOptions options_;
  std::string said_;
  std::jthread starter_;
};

// Nothing brings the killed server back but `restore`: the gap holds the wait for it, every acknowledged row
// is found through the endpoint, and the next run kills it again. On schedule, so that latencies hold the
// outage as well.
TEST_F(AgainstLive, RestoresWhatDoesNotComeBack) {
  options_.file.commands.restore = start_command();
  options_.runs = 2;
  options_.rate = 200;
  AgainstBench measured = bench();
  const auto done = measured.run();
  ASSERT_TRUE(done) << done.error() << said_;
  ASSERT_EQ(measured.runs().size(), 2U);
  for (const AgainstRun& run : measured.runs()) {
    EXPECT_FALSE(run.by_itself);
    EXPECT_GE(run.gap_ms, 1000);
    EXPECT_EQ(run.missing, 0U);
    EXPECT_GT(run.acknowledged, 200U);
    ASSERT_TRUE(run.way);
    EXPECT_FALSE(run.way->error.empty());
    EXPECT_GT(run.restore_ms, 0);
    EXPECT_GT(run.back_ms, run.restore_ms);
    ASSERT_TRUE(run.latency_before && run.latency_after);
    EXPECT_NEAR(static_cast<double>(run.latency_before->count + run.latency_after->count), 800, 2);
    EXPECT_LE(run.latency_before->count, 201U);
    EXPECT_GE(run.latency_after->max_ms, 900);
    EXPECT_GE(run.latency_after->p90_ms, run.latency_before->p50_ms);
  }
  EXPECT_TRUE(fs::exists(path("cleaned")));
  EXPECT_EQ(tables(), "0");
  EXPECT_TRUE(said_.contains("writes do not go on by themselves within 1 s")) << said_;
}

// A server that somebody starts again at once: writes go on by themselves, and the gap is the restart.
TEST_F(AgainstLive, SeesItComeBackByItself) {
  options_.file.commands.kill += " && touch " + path("wanted");
  options_.file.commands.restore = wait_command();
  options_.file.commands.restore_after = 60s;
  AgainstBench measured = bench();
  const auto done = measured.run();
  ASSERT_TRUE(done) << done.error() << said_;
  ASSERT_EQ(measured.runs().size(), 1U);
  EXPECT_TRUE(measured.runs()[0].by_itself);
  EXPECT_GT(measured.runs()[0].gap_ms, 0);
  EXPECT_EQ(measured.runs()[0].missing, 0U);
  EXPECT_TRUE(measured.server_version().contains("MariaDB")) << measured.server_version();
}

// Commands that fail are told with their words, and what can be put in order is.
TEST_F(AgainstLive, TellsCommandsThatFail) {
  options_.file.commands.kill = "echo no such host; exit 7";
  options_.file.commands.restore = "touch " + path("restored");
  AgainstBench measured = bench();
  const auto done = measured.run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error(), "run 1: commands.kill: exit status 7; it says:\nno such host");
  EXPECT_TRUE(fs::exists(path("restored")));
  EXPECT_TRUE(fs::exists(path("cleaned")));
  EXPECT_EQ(tables(), "0");
}

// A kill that kills nothing is no failover of no length.
TEST_F(AgainstLive, TellsAKillThatKillsNothing) {
  options_.file.commands.kill = "true";
  options_.file.commands.restore = "true";
  AgainstBench measured = bench();
  const auto done = measured.run();
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().contains("did commands.kill end the primary?")) << done.error();
}

}  // namespace
}  // namespace pointsman::bench
