#include "bench/shell.h"

#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tests/testbed/files.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

TEST(Shell, RunsACommand) {
  EXPECT_TRUE(run_shell("commands.kill", "test 1 = 1 && true", 10s));
}

// What failed, how, and what it said on both outputs.
TEST(Shell, TellsWhatItSaid) {
  const auto done = run_shell("commands.kill", "echo one; echo two >&2; exit 3", 10s);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error(), "commands.kill: exit status 3; it says:\none\ntwo");
  EXPECT_EQ(run_shell("x", "kill -TERM $$", 10s).error(), "x: was ended by signal 15, without a word");
}

// A command that hangs is ended with what it waits for.
TEST(Shell, EndsWhatHangs) {
  const auto folder = testbed::TempDirectory::create("shell");
  ASSERT_TRUE(folder) << folder.error();
  const auto file = folder->path() / "pid";
  const auto began = std::chrono::steady_clock::now();
  const auto done =
      run_shell("commands.restore",
                "echo begun; (echo 0 > /dev/null; sleep 100) & echo $! > " + file.string() + "; wait", 300ms);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 60s);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error(), "commands.restore: does not end within 300 ms; it says:\nbegun");
  const int pid = std::stoi(testbed::read_tail(file, 100));
  // An orphan, so somebody else collects it; a zombie in the meantime is dead as well.
  const auto runs = [pid] {
    const std::string stat = testbed::read_tail("/proc/" + std::to_string(pid) + "/stat", 4096);
    const std::size_t name_end = stat.rfind(") ");
    return name_end != std::string::npos && stat[name_end + 2] != 'Z';
  };
  for (int i = 0; i < 1000 && runs(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(runs());
}

// What a command leaves in the background does not hold it up, and lives on.
TEST(Shell, LeavesTheBackground) {
  const auto folder = testbed::TempDirectory::create("shell");
  ASSERT_TRUE(folder) << folder.error();
  const auto file = folder->path() / "pid";
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_shell("commands.start", "sleep 100 & echo $! > " + file.string(), 60s));
  EXPECT_LT(std::chrono::steady_clock::now() - began, 50s);
  EXPECT_EQ(::kill(std::stoi(testbed::read_tail(file, 100)), SIGKILL), 0);
}

}  // namespace
}  // namespace pointsman::bench
