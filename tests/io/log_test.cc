#include "health/io/log.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "health/io/log_limiter.h"
#include "tests/testbed/files.h"

namespace pointsman::io {
namespace {

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class LogTest : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(conf::LogFormat format = conf::LogFormat::text,
                            conf::LogLevel level = conf::LogLevel::info) {
    auto log = Log::open({.level = level, .file = file_, .format = format});
    EXPECT_TRUE(log) << log.error();
    return std::move(*log);
  }
  // What the log wrote, without the times.
  std::string written() const {
    static const std::regex time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
    return std::regex_replace(contents(file_), time, "TIME");
  }

  testbed::TempDirectory dir_ = *testbed::TempDirectory::create("log");
  std::string file_ = dir_.path() / "pointsman.log";
};

// An operator greps the log: one line an event, values quoted only where they need it.
TEST_F(LogTest, WritesTextLines) {
  open()->info("verdict", {{"backend", "dbserv1"},
                           {"epoch", 4},
                           {"verdict", "crashed"},
                           {"why", "refused twice, last \"10.0.0.1:3306\"\nagain"},
                           {"empty", ""},
                           {"ms", 1.5},
                           {"big", std::numeric_limits<std::uint64_t>::max()},
                           {"ok", true}});
  EXPECT_EQ(
      written(),
      "TIME info    verdict backend=dbserv1 epoch=4 verdict=crashed "
      R"(why="refused twice, last \"10.0.0.1:3306\"\nagain" empty="" ms=1.5 big=18446744073709551615 ok=true)"
      "\n");
}

// A collector reads the log: every line is a JSON object, whatever the values hold.
TEST_F(LogTest, WritesJsonLines) {
  {
    const auto log = open(conf::LogFormat::json);
    log->warn("probe failed",
              {{"why", "a\\b\x01\x7f\"c\""}, {"n", -3}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
    log->error("long", {{"first", 1}, {"text", std::string(100'000, 'x')}});
  }
  std::istringstream lines(contents(file_));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  auto value = nlohmann::json::parse(line);
  EXPECT_EQ(value["level"], "warning");
  EXPECT_EQ(value["event"], "probe failed");
  EXPECT_EQ(value["why"], "a\\b\x01\x7f\"c\"");
  EXPECT_EQ(value["n"], -3);
  EXPECT_TRUE(value["nan"].is_null());
  ASSERT_TRUE(std::getline(lines, line));
  value = nlohmann::json::parse(line);
  EXPECT_EQ(value["first"], 1);
  EXPECT_EQ(value["cut"], true);
}

// The level of the configuration, and of a reloaded one.
TEST_F(LogTest, KeepsToItsLevel) {
  {
    const auto log = open(conf::LogFormat::text, conf::LogLevel::warn);
    log->info("no");
    log->warn("yes");
    EXPECT_FALSE(log->enabled(conf::LogLevel::debug));
    log->set_level(conf::LogLevel::debug);
    log->debug("now");
  }
  EXPECT_EQ(written(), "TIME warning yes\nTIME debug   now\n");
}

// logrotate moves the file away and tells the daemon.
TEST_F(LogTest, OpensItsFileAnew) {
  const std::string old = dir_.path() / "old.log";
  {
    const auto log = open();
    log->info("before");
    std::filesystem::rename(file_, old);
    log->reopen();  // may already count for "before": that line was written before the file moved, or goes to
                    // the new one
    log->info("after");
  }
  const std::string both = contents(old) + contents(file_);
  EXPECT_NE(both.find("before"), std::string::npos);
  EXPECT_NE(contents(file_).find("after"), std::string::npos);
}

// A log that cannot be opened stops the start of the daemon, with a reason.
TEST_F(LogTest, SaysWhyItCannotBeOpened) {
  const auto log = Log::open({.file = dir_.path() / "none/pointsman.log"});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error(), "cannot open the log file " + (dir_.path() / "none/pointsman.log").string() +
                             ": No such file or directory");
}

// The disk is full: the daemon goes on, and counts.
TEST_F(LogTest, SurvivesAFullDisk) {
  const auto log = Log::open({.file = "/dev/full"});
  ASSERT_TRUE(log);
  for (int i = 0; i < 100; ++i) (*log)->info("line");
  while ((*log)->dropped_total() < 100) std::this_thread::yield();
}

// Nobody reads the pipe that standard error is: the caller is never blocked, and the end comes soon.
TEST_F(LogTest, NeverBlocksOnAFullPipe) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const int saved = ::dup(STDERR_FILENO);
  ASSERT_GE(::dup2(ends[1], STDERR_FILENO), 0);
  {
    auto log = Log::open({});
    for (std::size_t i = 0; i < 3 * Log::queue_limit; ++i)
      (*log)->info("line", {{"text", "some text that fills the pipe"}});
    EXPECT_GT((*log)->dropped_total(), Log::queue_limit);
    ::close(ends[0]);  // now a closed pipe: no SIGPIPE may end the daemon
    (*log)->info("to nobody");
  }
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(ends[1]);
}

// Lines of several threads do not mix.
TEST_F(LogTest, IsForEveryThread) {
  {
    const auto log = open();
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < 500; ++i) log->info("line", {{"thread", t}, {"i", i}});
      });
    }
  }
  std::istringstream lines(written());
  std::string line;
  int count = 0;
  const std::regex expected("TIME info    line thread=\\d i=\\d+");
  while (std::getline(lines, line)) {
    ++count;
    EXPECT_TRUE(std::regex_match(line, expected)) << line;
  }
  EXPECT_EQ(count, 2000);
}

// A probe fails five times a second for an hour: one line a minute, each with the number of those held back.
TEST(LogLimiterTest, HoldsRepetitionsBack) {
  using namespace std::chrono_literals;
  LogLimiter limiter(60s);
  core::Instant now{};
  EXPECT_EQ(limiter.pass("a", now), 0U);
  EXPECT_EQ(limiter.pass("b", now), 0U);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limiter.pass("a", now += 200ms), std::nullopt);
  EXPECT_EQ(limiter.pass("a", now + 60s), 10U);
  EXPECT_EQ(limiter.pass("a", now + 120s), 0U);
}

// Keys that come from outside cannot make it grow without bound.
TEST(LogLimiterTest, ForgetsTheOldestKey) {
  using namespace std::chrono_literals;
  LogLimiter limiter(60s);
  core::Instant now{};
  for (std::size_t i = 0; i <= LogLimiter::max_keys; ++i) limiter.pass(std::to_string(i), now += 1ms);
  EXPECT_EQ(limiter.pass("0", now), 0U) << "forgotten, so it passes";
  EXPECT_EQ(limiter.pass(std::to_string(LogLimiter::max_keys), now), std::nullopt)
      << "the latest is remembered";
}

}  // namespace
}  // namespace pointsman::io
