#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "tests/live/world.h"
#include "tests/testbed/done.h"
#include "tests/testbed/files.h"

// What operators do to a running daemon, and what they find when its files are not as they should be.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Finished;
using testbed::Millis;

class Operator : public testing::Test {
 protected:
  void start(Keys keys = {}, Product product = Product::mariadb) {
    world_ = World::make({.product = product}, std::move(keys));
    ASSERT_NE(world_.daemon, nullptr);
  }
  Finished type(std::vector<std::string> command) {
    auto done = world_.daemon->command(std::move(command));
    EXPECT_TRUE(done) << done.error();
    return done ? *done : Finished{};
  }
  void type_well(std::vector<std::string> command) {
    const Finished done = type(std::move(command));
    ASSERT_EQ(done.code, 0) << done.out << done.err << world_.story();
  }
  auto log_in() { return world_.daemon->connect(world_.cluster->accounts().application, "app"); }
  void expect_primary(const std::string& name) {
    const auto seen = world_.daemon->wait_status(
        [&](const auto& s) { return s["primary"] == name && s["state"] == "steady"; }, Millis(soon));
    EXPECT_TRUE(seen) << seen.error() << world_.story();
  }
  void expect_warning(const std::string& text) {
    const auto seen = world_.daemon->wait_status(
        [&](const auto& s) { return has(s["warnings"].dump() + s["reason"].dump(), text); }, Millis(soon));
    EXPECT_TRUE(seen) << text << ": " << seen.error() << world_.story();
  }
  // Runs the daemon's program where it is expected to end by itself.
  Finished run_another() {
    auto ended = testbed::run(
        {.argv = {world_.daemon->program(), "run", "-c", world_.daemon->configuration()}}, Millis(soon));
    EXPECT_TRUE(ended) << ended.error();
    return ended ? *ended : Finished{};
  }

  World world_;
};

// `pause` holds new clients and leaves sessions alone; `resume` lets them in.
TEST_F(Operator, PausesAndResumes) {
  ASSERT_NO_FATAL_FAILURE(start());
  auto session = log_in();
  ASSERT_TRUE(session) << session.error().text;
  ASSERT_NO_FATAL_FAILURE(type_well({"pause"}));
  auto held = std::async(std::launch::async, [&] { return log_in().has_value(); });
  const auto waits = world_.daemon->wait_status(
      [](const auto& s) { return s["state"] == "paused" && s["sessions"]["held"] == 1; }, Millis(soon));
  EXPECT_TRUE(waits) << waits.error();
  EXPECT_TRUE(session->execute("INSERT INTO `rows` VALUES (1, 0)"));
  ASSERT_NO_FATAL_FAILURE(type_well({"resume"}));
  EXPECT_TRUE(held.get()) << world_.story();
}

// A server in maintenance is not promoted, even when it is the only one left, and the reason is said.
TEST_F(Operator, KeepsAServerInMaintenanceFromPromotion) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(type_well({"maintenance", "db2", "on"}));
  world_.db(0).kill();
  expect_warning("in maintenance");
  EXPECT_FALSE(writable(world_.db(1)));
  ASSERT_NO_FATAL_FAILURE(type_well({"maintenance", "db2", "off"}));
  expect_primary("db2");
  EXPECT_EQ(type({"maintenance", "db9", "on"}).code, 1);
  EXPECT_EQ(type({"maintenance", "db2", "perhaps"}).code, 2);
}

// Automatic failover is switched off; once that is said, it outlives even a daemon that is killed at once.
// Switched on again, it acts at once.
TEST_F(Operator, SwitchesAutomaticFailoverOff) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(type_well({"automatic", "off"}));
  world_.daemon->kill();
  ASSERT_TRUE(testbed::done(world_.daemon->start()));
  world_.expect_settled();
  world_.db(0).kill();
  expect_warning("automatic failover is off");
  EXPECT_FALSE(writable(world_.db(1)));
  const Finished explained = type({"explain"});
  EXPECT_TRUE(has(explained.out, "automatic failover is off")) << explained.out;
  ASSERT_NO_FATAL_FAILURE(type_well({"automatic", "on"}));
  expect_primary("db2");
}

// A changed file is read while a session goes on, and reaches the servers; a wrong one changes nothing.
TEST_F(Operator, ReloadsTheConfiguration) {
  ASSERT_NO_FATAL_FAILURE(start());
  auto session = log_in();
  ASSERT_TRUE(session) << session.error().text;
  const auto timeout = [&] {
    return world_.ask(world_.db(0), "SELECT @@global.rpl_semi_sync_master_timeout");
  };
  ASSERT_TRUE(world_.daemon->set_keys({{"replication", {{"semi_sync", "\"required\""}}}}));
  ASSERT_NO_FATAL_FAILURE(type_well({"reload"}));
  for (const auto until = std::chrono::steady_clock::now() + soon;
       timeout().size() < 10 && std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(20ms)) {
  }
  EXPECT_GE(timeout().size(), 10U) << timeout() << world_.story();
  ASSERT_TRUE(world_.daemon->set_keys({{"replication", {{"semi_sync", "\"sometimes\""}}}}));
  const Finished refused = type({"reload"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(has(refused.err, "semi_sync") && has(refused.err, "pointsman.toml:")) << refused.err;
  EXPECT_TRUE(session->execute("INSERT INTO `rows` VALUES (1, 0)"));
  ASSERT_TRUE(world_.daemon->set_keys({}));
  expect_primary("db1");
}

// Events are followed while they happen, and sessions are listed.
TEST_F(Operator, FollowsEventsAndListsSessions) {
  ASSERT_NO_FATAL_FAILURE(start());
  auto session = log_in();
  ASSERT_TRUE(session) << session.error().text;
  const Finished sessions = type({"sessions"});
  EXPECT_TRUE(has(sessions.out, "127.0.0.1:") && has(sessions.out, "db1")) << sessions.out;
  auto followed = std::async(std::launch::async, [&] {
    return testbed::run({.argv = {"timeout", "3", world_.daemon->program(), "events", "--follow", "--json",
                                  "-c", world_.daemon->configuration()}},
                        Millis(soon));
  });
  ASSERT_NO_FATAL_FAILURE(type_well({"switchover"}));
  const auto seen = followed.get();
  ASSERT_TRUE(seen) << seen.error();
  std::istringstream lines(seen->out);
  bool change = false;
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(event.is_discarded()) << line;
    change |= event["kind"] == "switchover" && event["to"] == "db2";
  }
  EXPECT_TRUE(change) << seen->out;
}

// A second daemon on the same state directory does not start, and the first one goes on.
TEST_F(Operator, StartsASecondDaemon) {
  ASSERT_NO_FATAL_FAILURE(start());
  const Finished ended = run_another();
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(has(ended.err, "another pointsman runs")) << ended.err;
  expect_primary("db1");
  EXPECT_TRUE(log_in().has_value());
}

// The state file is damaged: who was primary, and in which epoch, is not guessed.
TEST_F(Operator, FindsADamagedStateFile) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(world_.daemon->stop());
  const std::string file = world_.daemon->state_directory() / "state.json";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const Finished ended = run_another();
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(has(ended.err, file) && has(ended.err, "cannot be understood")) << ended.err;
  std::filesystem::remove(file);
  ASSERT_TRUE(testbed::done(world_.daemon->start()));
  EXPECT_TRUE(world_.daemon->wait_steady(soon)) << world_.story();
}

// The state directory turns read-only while the daemon runs, as after a disk error: no promotion until it is
// writable. Found so at the start, it is refused.
TEST_F(Operator, FindsTheStateDirectoryReadOnly) {
  ASSERT_NO_FATAL_FAILURE(start());
  const std::string state = world_.daemon->state_directory();
  ASSERT_EQ(::mount("tmpfs", state.c_str(), "tmpfs", MS_RDONLY, "size=64k,mode=0750"), 0) << "needs root";
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } const unmount{state};
  world_.db(0).kill();
  expect_warning("Read-only file system");
  EXPECT_FALSE(writable(world_.db(1)));
  const Finished ended = run_another();
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(has(ended.err, "cannot write to proxy.state_dir") && has(ended.err, "Read-only file system"))
      << ended.err;
  ASSERT_EQ(::umount2(state.c_str(), 0), 0);
  expect_primary("db2");
}

// A frozen primary is switched off by fence.command before anybody is promoted; while the command fails
// nobody is.
TEST_F(Operator, FencesByACommand) {
  const testbed::TempDirectory folder = std::move(*testbed::TempDirectory::create("fence"));
  const std::string script = folder.path() / "fence";
  const std::string works = folder.path() / "works";
  const std::string said = folder.path() / "said";
  std::ofstream(script) << "#!/bin/sh\ncat > " << said << "\ntest -e " << works
                        << " || { echo no route to the power switch >&2; exit 1; }\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  ASSERT_NO_FATAL_FAILURE(start({{"fence", {{"command", "[\"" + script + "\"]"}}}}));
  ASSERT_TRUE(world_.db(0).freeze());
  expect_warning("no route to the power switch");
  EXPECT_FALSE(writable(world_.db(1)));
  std::ofstream(works) << "yes";
  expect_primary("db2");
  std::stringstream options;
  options << std::ifstream(said).rdbuf();
  EXPECT_TRUE(has(options.str(), "action=off\n") && has(options.str(), "db1\n")) << options.str();
  ASSERT_TRUE(world_.db(0).thaw());
  world_.expect_in_order("db2");
}

}  // namespace
}  // namespace pointsman::live
