#include "tests/testbed/process.h"

#include <csignal>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/testbed/files.h"

namespace pointsman::testbed {
namespace {

constexpr Millis plenty{20000};

bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

// Both outputs and the status of a short program come back apart.
TEST(Run, ReturnsStatusAndBothOutputs) {
  const auto finished = run({.argv = {"sh", "-c", "echo out; echo err >&2; exit 3"}}, plenty);
  ASSERT_TRUE(finished) << finished.error();
  EXPECT_EQ(finished->code, 3);
  EXPECT_EQ(finished->out, "out\n");
  EXPECT_EQ(finished->err, "err\n");
}

TEST(Run, AddsToTheEnvironment) {
  const auto finished = run(
      {.argv = {"sh", "-c", "echo $POINTSMAN_A $HOME"}, .environment = {"POINTSMAN_A=1", "HOME=/nowhere"}},
      plenty);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->out, "1 /nowhere\n");
}

// A program that would run for ever is ended when its time is over, and says so.
TEST(Run, EndsWhatTakesTooLong) {
  const auto finished = run({.argv = {"sleep", "1000"}}, Millis(20));
  ASSERT_TRUE(finished);
  EXPECT_TRUE(finished->timed_out);
  EXPECT_EQ(finished->code, -SIGKILL);
}

TEST(Process, SaysWhyAProgramDoesNotStart) {
  EXPECT_TRUE(
      Process::start({.argv = {"no-such-program-anywhere"}}).error().contains("no-such-program-anywhere"));
  EXPECT_TRUE(Process::start({.argv = {"/etc/passwd"}}).error().contains("Permission denied"));
}

// Its end is reported once it happened, by wait as by running, and a second kill does no harm to whoever has
// that pid by then.
TEST(Process, ReportsItsEnd) {
  auto process = Process::start({.argv = {"sleep", "1000"}});
  ASSERT_TRUE(process) << process.error();
  EXPECT_TRUE(process->running());
  EXPECT_FALSE(process->wait(Millis(1)));
  EXPECT_TRUE(process->send(SIGTERM));
  const auto end = process->wait(plenty);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, -SIGTERM);
  EXPECT_FALSE(process->running());
  EXPECT_FALSE(process->send(SIGTERM));
  process->kill();
  EXPECT_EQ(process->end()->code, -SIGTERM);
}

TEST(Process, KillsWhatIsFrozen) {
  auto process = Process::start({.argv = {"sleep", "1000"}});
  ASSERT_TRUE(process);
  EXPECT_TRUE(process->send(SIGSTOP));
  process->kill();
  EXPECT_EQ(process->end()->code, -SIGKILL);
}

// Frozen and thawed, again and again: each time it has really stopped when freeze() returns.
TEST(Process, StandsStillOnceFrozen) {
  const auto folder = TempDirectory::create("test");
  ASSERT_TRUE(folder);
  const auto output = folder->path() / "output";
  auto process = Process::start({.argv = {"sh", "-c", "while :; do echo; done"}, .output = output});
  ASSERT_TRUE(process);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(process->freeze());
    const auto size = std::filesystem::file_size(output);
    std::this_thread::yield();
    EXPECT_EQ(std::filesystem::file_size(output), size);
    EXPECT_TRUE(process->running());
    ASSERT_TRUE(process->send(SIGCONT));
  }
  process->kill();
  EXPECT_FALSE(process->freeze());
}

// The thread that started a process ends; the process goes on, for it belongs to its object.
TEST(Process, OutlivesTheThreadThatStartedIt) {
  std::expected<Process, std::string> process = std::unexpected("not started");
  std::thread([&process] { process = Process::start({.argv = {"sleep", "1000"}}); }).join();
  ASSERT_TRUE(process);
  EXPECT_FALSE(process->wait(Millis(50)));
}

// A test program is killed in the middle of its work: what it started does not stay behind.
TEST(Process, EndsWithTheProgramThatStartedIt) {
  const auto folder = TempDirectory::create("test");
  ASSERT_TRUE(folder);
  const auto output = folder->path() / "output";
  auto parent = Process::start({.argv = {TESTBED_ORPHAN}, .output = output});
  ASSERT_TRUE(parent) << parent.error();
  const auto deadline = std::chrono::steady_clock::now() + plenty;
  while (!read_tail(output, 100).ends_with('\n') && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(Millis(2));
  }
  const pid_t child = std::stoi("0" + read_tail(output, 100));
  ASSERT_GT(child, 0);
  ASSERT_TRUE(exists(child));
  parent->kill();
  while (exists(child) && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(Millis(2));
  EXPECT_FALSE(exists(child));
}

}  // namespace
}  // namespace pointsman::testbed
