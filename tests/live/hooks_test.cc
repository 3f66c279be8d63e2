#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/files.h"

// hooks.command of a daemon in front of real servers.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;
using testbed::Millis;

bool eventually(const std::function<bool()>& holds) {
  const auto until = Clock::now() + soon;
  while (!holds() && Clock::now() < until) std::this_thread::sleep_for(10ms);
  return holds();
}

bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  return !std::getline(in, stat) || stat.find(") Z ") != std::string::npos;
}

class HooksLive : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = testbed::TempDirectory::create("hooks");
    ASSERT_TRUE(folder) << folder.error();
    folder_ = std::move(*folder);
  }
  std::string path(const std::string& name) const { return folder_.path() / name; }
  std::string text_of(const std::string& name) const { return testbed::read_tail(path(name), 1 << 20); }
  std::vector<std::string> lines_of(const std::string& name) const {
    std::istringstream in(text_of(name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  // The keys of [hooks] for a script in this test's folder.
  Keys script(const std::string& name, const std::string& text, const std::string& events) {
    const auto written = testbed::write_file(
        path(name), "#!/bin/sh\ncd " + folder_.path().string() + "\n" + text + "\n", 0700);
    EXPECT_TRUE(written) << written.error();
    return {{"hooks",
             {{"command", "[" + testbed::toml_string(path(name)) + "]"},
              {"events", events},
              {"timeout", "\"10m\""}}}};
  }

  testbed::TempDirectory folder_;
};

// The primary dies: the program is told that a failover begins and how it ended, in this order, in the words
// of `events --json`.
TEST_F(HooksLive, TellsOfAFailover) {
  World world = World::make({}, script("tell", "cat >>told; echo $POINTSMAN_EVENT >>kinds",
                                       R"(["failover_started", "failover", "refused", "switchover"])"));
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  world.db(0).kill();
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  ASSERT_TRUE(eventually([&] { return lines_of("kinds").size() == 2; })) << text_of("kinds") << world.story();
  EXPECT_EQ(lines_of("kinds"), (std::vector<std::string>{"failover_started", "failover"}));
  const auto told = lines_of("told");
  ASSERT_EQ(told.size(), 2U) << text_of("told");
  EXPECT_EQ(told[0], world.last_event("failover_started").dump());
  EXPECT_EQ(told[1], world.last_event("failover").dump());
  const json done = json::parse(told[1], nullptr, false);
  EXPECT_EQ(done["from"], "db1");
  EXPECT_EQ(done["to"], "db2");
  EXPECT_EQ(done["ok"], true);
}

// A program that hangs from the first event on: the failover goes on all the same, and ends while it hangs. A
// reload that makes no sense changes nothing; the daemon that is stopped ends it.
TEST_F(HooksLive, HangingOneHoldsUpNothing) {
  const std::string hang = "trap '' TERM; echo $$ >pid; sleep 1000 <&- & echo $! >child; wait; sleep 1000";
  World world = World::make({}, script("hang", hang, R"(["all"])"));
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_TRUE(eventually([&] { return !text_of("child").empty(); })) << world.story();
  ASSERT_NO_FATAL_FAILURE(world.expect_nothing_in_the_way());
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  world.db(0).kill();
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << world.story();
  const json event = world.last_event("failover");
  EXPECT_EQ(event["ok"], true) << event;
  EXPECT_LT(event["total_ms"].get<double>(), 10000) << event;
  const pid_t first = std::stoi(text_of("pid"));
  EXPECT_FALSE(is_gone(first)) << "it hangs still";
  EXPECT_EQ(world.daemon->log().find("hook_failed"), std::string::npos) << world.story();
  writer.stop();

  ASSERT_TRUE(world.daemon->set_keys(script("hang", hang, R"(["fallover"])")));
  const auto refused = world.daemon->command({"reload"});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, 1);
  EXPECT_NE(refused->err.find("did you mean \"failover\"?"), std::string::npos) << refused->err;
  EXPECT_FALSE(is_gone(first));

  const auto stopped = world.daemon->stop();
  ASSERT_TRUE(stopped) << stopped.error() << world.story();
  EXPECT_EQ(*stopped, 0);
  EXPECT_TRUE(eventually([&] { return is_gone(first) && is_gone(std::stoi(text_of("child"))); }))
      << "and what it started";
  EXPECT_NE(world.daemon->log().find("hook_dropped"), std::string::npos) << world.story();
}

// A reload takes another program, and then none.
TEST_F(HooksLive, Reload) {
  World world = World::make({}, script("one", "echo one >>told", R"(["maintenance"])"));
  ASSERT_NE(world.daemon, nullptr);
  const auto run = [&](const std::vector<std::string>& command) {
    const auto done = world.daemon->command(command);
    EXPECT_TRUE(done && done->code == 0) << command.front() << world.story();
  };
  run({"maintenance", "db2", "on"});
  ASSERT_TRUE(eventually([&] { return lines_of("told").size() == 1; })) << world.story();
  ASSERT_TRUE(world.daemon->set_keys(script("two", "echo two >>told", R"(["maintenance", "automatic"])")));
  run({"reload"});
  run({"maintenance", "db2", "off"});
  run({"automatic", "off"});
  ASSERT_TRUE(eventually([&] { return lines_of("told").size() == 3; })) << world.story();
  EXPECT_EQ(lines_of("told"), (std::vector<std::string>{"one", "two", "two"}));
  ASSERT_TRUE(world.daemon->set_keys({{"hooks", {{"command", "[]"}, {"events", ""}, {"timeout", ""}}}}));
  run({"reload"});
  run({"automatic", "on"});
  ASSERT_TRUE(world.daemon->stop());
  EXPECT_EQ(lines_of("told").size(), 3U);
  EXPECT_EQ(world.daemon->log().find("hook_dropped"), std::string::npos) << world.story();
}

}  // namespace
}  // namespace pointsman::live
