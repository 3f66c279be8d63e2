#include "proxy/hooks.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testbed/files.h"

// hooks.command as real scripts, good and bad ones.
namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

// Far more than any of it takes; none of the scripts that hang ends within it.
constexpr auto soon = 30s;

bool eventually(const std::function<bool()>& holds) {
  const auto until = Clock::now() + soon;
  while (!holds() && Clock::now() < until) std::this_thread::sleep_for(5ms);
  return holds();
}

json event_of(const std::string& kind, const std::string& message = "a sentence") {
  return {{"kind", kind}, {"epoch", 7}, {"message", message}};
}

class HooksTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // as in the daemon
    auto folder = testbed::TempDirectory::create("hooks");
    ASSERT_TRUE(folder) << folder.error();
    folder_ = std::move(*folder);
    auto log = io::Log::open({.file = path("log")});
    ASSERT_TRUE(log) << log.error();
    log_ = std::move(*log);
  }
  void TearDown() override {
    for (const char* left : {"left.failover", "left.refused"}) {
      if (const pid_t pid = pid_in(left); pid > 0) ::kill(pid, SIGKILL);
    }
  }

  std::string path(const std::string& name) const { return folder_.path() / name; }
  std::string text_of(const std::string& name) const { return testbed::read_tail(path(name), 10 << 20); }
  std::string log() const { return text_of("log"); }
  pid_t pid_in(const std::string& name) const {
    const std::string text = text_of(name);
    return text.empty() ? 0 : std::stoi(text);
  }
  std::vector<std::string> lines_of(const std::string& name) const {
    std::istringstream in(text_of(name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  // A script in this test's folder; it runs there.
  conf::Hooks script(const std::string& text, std::vector<std::string> events = {"all"},
                     conf::Duration timeout = 1000s) {
    const std::string file = path("hook" + std::to_string(++scripts_));
    const auto written =
        testbed::write_file(file, "#!/bin/sh\ncd " + folder_.path().string() + "\n" + text + "\n", 0700);
    EXPECT_TRUE(written) << written.error();
    return {.command = {file}, .events = std::move(events), .timeout = timeout};
  }
  void start(conf::Hooks settings) { hooks_ = std::make_unique<Hooks>(*log_, std::move(settings)); }

  testbed::TempDirectory folder_;
  std::unique_ptr<io::Log> log_;
  std::unique_ptr<Hooks> hooks_;
  int scripts_ = 0;
};

bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  return !std::getline(in, stat) ||
         stat.find(") Z ") != std::string::npos;  // killed, and nobody has asked for it yet
}

// Of the events that come, those that are wanted are told, one after another, each with all that is known of
// it.
TEST_F(HooksTest, TellsOfEachInOrder) {
  start(script("sleep 0.0$(( $$ % 5 )); echo \"$POINTSMAN_EVENT|$POINTSMAN_MESSAGE|$(cat)\" >>told",
               {"failover", "quarantine"}));
  std::vector<std::string> wanted;
  for (int i = 0; i < 10; ++i) {
    const json event = event_of(i % 2 == 0 ? "failover" : "quarantine", "number " + std::to_string(i));
    hooks_->on_event(event);
    hooks_->on_event(event_of("verdict"));
    wanted.push_back(event["kind"].get<std::string>() + "|number " + std::to_string(i) + "|" + event.dump());
  }
  EXPECT_TRUE(eventually([&] { return hooks_->counts().done == 10; })) << log();
  EXPECT_EQ(lines_of("told"), wanted);
  EXPECT_TRUE(eventually([&] { return log().find(" hook kind=quarantine took_ms=") != std::string::npos; }))
      << log();
}

// Nobody is told where nothing is configured.
TEST_F(HooksTest, NoneIsConfigured) {
  start({});
  for (int i = 0; i < 1000; ++i) hooks_->on_event(event_of("failover"));
  hooks_->stop();
  EXPECT_EQ(hooks_->counts().dropped, 0U);
  hooks_.reset();
  log_.reset();
  EXPECT_EQ(log(), "");
}

// It works while the daemon has better things to do.
TEST_F(HooksTest, RunsAtALowPriority) {
  // It is lowered once the program runs.
  start(script("until [ $(nice) -ge 10 ]; do sleep 0.05; done; nice >priority", {"all"}, 60s));
  hooks_->on_event(event_of("failover"));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == 1; })) << log();
  EXPECT_GE(pid_in("priority"), 10);
}

// One that hangs is killed with what it started and waits for, and the next event is told.
TEST_F(HooksTest, HangingOneIsKilled) {
  start(script(
      "[ $POINTSMAN_EVENT = quarantine ] && exit 0\nsleep 1000 & echo $! >child; echo so far >&2; wait",
      {"all"}, 1s));
  hooks_->on_event(event_of("failover"));
  hooks_->on_event(event_of("quarantine"));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == 1; })) << log();
  EXPECT_EQ(hooks_->counts().timed_out, 1U);
  ASSERT_GT(pid_in("child"), 0);
  EXPECT_TRUE(eventually([&] { return is_gone(pid_in("child")); }));
  EXPECT_TRUE(eventually([&] {
    return log().find(" error   hook_failed kind=failover why=\"" + path("hook1") +
                      " did not end within 1000 ms and was killed, and said: so far\"") != std::string::npos;
  })) << log();
}

// The reason of a failure is in the log, of a flood of words the last ones.
TEST_F(HooksTest, FailureIsLoggedWithItsLastWords) {
  start(script("yes 0123456789 | head -c 5000000 >&2; echo no route to the pager >&2; exit 3"));
  hooks_->on_event(event_of("failover"));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().failed == 1; })) << log();
  hooks_.reset();
  log_.reset();
  EXPECT_NE(log().find("hook1 failed with status 3, and said: "), std::string::npos) << log();
  EXPECT_NE(log().find("no route to the pager\"\n"), std::string::npos) << log();
  EXPECT_LT(log().size(), 8000U);
}

// One that closes its input unread, and one that never looks at it: what it was to be told is longer than a
// pipe.
TEST_F(HooksTest, DeafOnes) {
  start(script("[ $POINTSMAN_EVENT = refused ] && exec <&-; sleep 0.1; exit 0"));
  hooks_->on_event(event_of("refused", std::string(1000000, 'x')));
  hooks_->on_event(event_of("failover", std::string(1000000, 'x')));
  EXPECT_TRUE(eventually([&] { return hooks_->counts().done == 2; })) << log();
}

// What a server said comes through whole on standard input, and harmless in the environment.
TEST_F(HooksTest, HostileText) {
  start(script("printf %s \"$POINTSMAN_MESSAGE\" >message; cat >line"));
  const std::string text = "a\nb\x01\x7f" + std::string("\0c", 2) + "$(touch pwned)`touch pwned`'\";" +
                           std::string(952, 'x') + "\u00e4\u00e4\u00e4\u00e4" + std::string(1000000, 'y');
  hooks_->on_event(event_of("failover", text));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == 1; })) << log();
  const std::string message = text_of("message");
  EXPECT_TRUE(message.starts_with("a b   c$(touch pwned)`touch pwned`'\";xxx")) << message;
  EXPECT_LE(message.size(), 1000U);
  EXPECT_GE(message.size(), 997U);
  EXPECT_NO_THROW((void)json(message).dump()) << "a character was cut in two";
  EXPECT_FALSE(std::filesystem::exists(path("pwned")));
  EXPECT_EQ(lines_of("line").size(), 1U);
  EXPECT_EQ(json::parse(text_of("line"), nullptr, false), event_of("failover", text));
}

// What it leaves behind when it exits is its own business: not waited for, though it holds our pipes, and not
// killed.
TEST_F(HooksTest, WhatItLeavesGoesOn) {
  start(script("sleep 1000 & echo $! >left.$POINTSMAN_EVENT"));
  hooks_->on_event(event_of("failover"));
  hooks_->on_event(event_of("refused"));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == 2; })) << log();
  for (const char* left : {"left.failover", "left.refused"}) {
    ASSERT_GT(pid_in(left), 0);
    EXPECT_FALSE(is_gone(pid_in(left)));
  }
}

// The program was there when the configuration was read, and is no more.
TEST_F(HooksTest, ProgramThatIsGone) {
  conf::Hooks settings = script("exit 0");
  start(settings);
  std::filesystem::remove(settings.command[0]);
  hooks_->on_event(event_of("failover"));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().not_started == 1; })) << log();
  EXPECT_TRUE(eventually([&] {
    return log().find("cannot start " + settings.command[0] + ": No such file or directory") !=
           std::string::npos;
  })) << log();
}

// While one hangs, so many wait; of more the oldest are dropped, and that is logged and counted.
TEST_F(HooksTest, QueueIsBounded) {
  start(script("touch begun; while [ ! -e go ]; do sleep 0.02; done; echo \"$POINTSMAN_MESSAGE\" >>told"));
  hooks_->on_event(event_of("failover", "first"));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(path("begun")); }));
  for (std::size_t i = 0; i < Hooks::max_waiting + 3; ++i)
    hooks_->on_event(event_of("failover", std::to_string(i)));
  EXPECT_EQ(hooks_->counts().dropped, 3U);
  ASSERT_TRUE(testbed::write_file(path("go"), ""));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == Hooks::max_waiting + 1; })) << log();
  std::vector<std::string> wanted{"first"};
  for (std::size_t i = 3; i < Hooks::max_waiting + 3; ++i) wanted.push_back(std::to_string(i));
  EXPECT_EQ(lines_of("told"), wanted);
  EXPECT_TRUE(eventually([&] {
    return log().find("hook_dropped kind=failover why=\"64 newer ones wait\" message=2") != std::string::npos;
  })) << log();
}

// The daemon that stops waits for nobody: what runs is killed, what waits is dropped, and both are told.
TEST_F(HooksTest, StopEndsWhatRuns) {
  start(script("sleep 1000 & echo $! >child; wait"));
  for (const char* kind : {"failover", "quarantine", "refused"}) hooks_->on_event(event_of(kind));
  ASSERT_TRUE(eventually([&] { return pid_in("child") > 0; })) << log();
  hooks_->stop();
  EXPECT_TRUE(eventually([&] { return is_gone(pid_in("child")); }));
  EXPECT_EQ(hooks_->counts().dropped, 3U);
  hooks_->on_event(event_of("failover"));
  hooks_->stop();
  hooks_.reset();
  log_.reset();
  for (const char* line : {"hook_dropped kind=failover why=\"the daemon stops: ",
                           "hook_dropped kind=quarantine why=\"the daemon stops\"",
                           "hook_dropped kind=refused why=\"the daemon stops\""})
    EXPECT_NE(log().find(line), std::string::npos) << log();
  EXPECT_EQ(lines_of("child").size(), 1U) << "nothing was started after the stop";
}

// A reload counts for what happens afterwards and for what waits; what runs is not disturbed.
TEST_F(HooksTest, Reconfigure) {
  start(script("touch begun; while [ ! -e go ]; do sleep 0.02; done; echo old $POINTSMAN_EVENT >>told"));
  hooks_->on_event(event_of("failover"));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(path("begun")); }));
  hooks_->on_event(event_of("verdict"));
  hooks_->reconfigure(script("echo new $POINTSMAN_EVENT >>told", {"quarantine"}));
  hooks_->on_event(event_of("failover"));
  hooks_->on_event(event_of("quarantine"));
  ASSERT_TRUE(testbed::write_file(path("go"), ""));
  ASSERT_TRUE(eventually([&] { return hooks_->counts().done == 3; })) << log();
  EXPECT_EQ(lines_of("told"), (std::vector<std::string>{"old failover", "new verdict", "new quarantine"}));

  hooks_->reconfigure({});
  hooks_->on_event(event_of("quarantine"));
  hooks_->stop();
  EXPECT_EQ(hooks_->counts().done + hooks_->counts().dropped, 3U);
}

}  // namespace
}  // namespace pointsman::proxy
