// Knowing that a process dies before the kernel says that it is dead.
#include "health/agent/process_watch.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "health/agent/exit_status.h"
#include "health/agent/thread_states.h"
#include "health/io/clock.h"
#include "health/io/descriptor.h"
#include "tests/io/loop_until.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::agent {
namespace {

namespace fs = std::filesystem;
using State = ProcessWatch::State;

// Kernels keep an exit status with the pidfd since 6.15.
bool pidfd_keeps_exit_status() {
  utsname name{};
  int major = 0;
  int minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return std::tuple(major, minor) >= std::tuple(6, 15);
}

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    auto made = testbed::TempDirectory::create("watch");
    ASSERT_TRUE(made) << made.error();
    directory_ = std::move(*made);
  }
  std::string socket() const { return directory_.path() / "s"; }
  void start_victim(unsigned megabytes, unsigned threads) {
    start_victim({socket(), std::to_string(megabytes), std::to_string(threads)});
  }
  void start_victim(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), AGENT_VICTIM);
    auto started = testbed::Process::start({.argv = std::move(arguments),
                                            .directory = directory_.path(),
                                            .output = directory_.path() / "output"});
    ASSERT_TRUE(started) << started.error();
    victim_ = std::move(*started);
  }
  io::Descriptor pidfd() const {
    return io::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, victim_.pid(), 0)));
  }
  void watch() {
    watch_.emplace(loop_, socket(), [this](bool started) {
      seen_.emplace_back(watch_->state(), io::now());
      started_ = started;
    });
  }
  // Until the state is this one.
  bool reaches(State state) {
    return io::run_until(loop_, [&] { return watch_->state() == state; });
  }
  double ms_until(State state, core::Instant since) const {
    for (const auto& [is, at] : seen_) {
      if (is == state) return core::to_ms_exact(at - since);
    }
    ADD_FAILURE() << "never " << to_string(state);
    return -1;
  }
  // Sends the signal, waits for the end, and prints how much earlier it was known.
  void dies_of(int signal, const char* how, bool by_signal = true) {
    seen_.clear();
    const core::Instant sent = io::now();
    ASSERT_TRUE(victim_.send(signal));
    ASSERT_TRUE(reaches(State::exited));
    ASSERT_EQ(seen_.size(), 2U) << "dying, exited";
    EXPECT_EQ(seen_[0].first, State::dying);
    EXPECT_EQ(watch_->by_signal(), by_signal);
    std::printf("%s: dying after %.1f ms, exited (pidfd) after %.1f ms\n", how, ms_until(State::dying, sent),
                ms_until(State::exited, sent));
  }
  std::string task_state(pid_t thread) const {
    std::ifstream stat("/proc/" + std::to_string(victim_.pid()) + "/task/" + std::to_string(thread) +
                       "/stat");
    std::string line;
    std::getline(stat, line);
    const auto end = line.rfind(')');
    return end == std::string::npos ? "" : line.substr(end + 2, 1);
  }
  std::size_t threads() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(victim_.pid()) + "/task"))
      count += entry.is_directory() ? 1 : 0;
    return count;
  }
  // So many looks at the flags, so that one that was wrong would have been seen.
  void let_it_look() {
    int ticks = 0;
    io::Timer timer(loop_, [&] { ++ticks; });
    timer.start_every(ProcessWatch::look_period);
    io::run_until(loop_, [&] { return ticks > 10; });
  }

  io::Loop loop_;
  testbed::TempDirectory directory_;
  testbed::Process victim_;
  std::optional<ProcessWatch> watch_;
  std::vector<std::pair<State, core::Instant>> seen_;
  bool started_ = false;
};

// A large server with many threads is killed.
TEST_F(Watch, KnowsOfAKilledProcessBeforeItHasEnded) {
  start_victim(1024, 200);
  watch();
  ASSERT_TRUE(reaches(State::runs));
  EXPECT_EQ(watch_->pid(), victim_.pid());
  dies_of(SIGKILL, "SIGKILL, 1 GiB, 200 threads");
}

// It crashes, and the kernel writes its core meanwhile.
TEST_F(Watch, KnowsOfACrashBeforeItsCoreIsWritten) {
  start_victim(512, 50);
  watch();
  ASSERT_TRUE(reaches(State::runs));
  dies_of(SIGSEGV, "SIGSEGV, 512 MiB, 50 threads");
}

// A small server is gone, and waited for, between two looks at it.
TEST_F(Watch, KnowsThatASignalEndedWhatItDidNotSeeDie) {
  start_victim(1, 1);
  watch();
  ASSERT_TRUE(reaches(State::runs));
  victim_.kill();
  ASSERT_TRUE(reaches(State::exited));
  EXPECT_EQ(watch_->by_signal(), pidfd_keeps_exit_status());
}

TEST_F(Watch, ExitStatusOfAPidfd) {
  start_victim(1, 1);
  const io::Descriptor killed = pidfd();
  ASSERT_TRUE(killed);
  EXPECT_EQ(ended_by_signal(killed.get()), std::nullopt) << "it runs";
  victim_.kill();
  EXPECT_EQ(ended_by_signal(killed.get()), pidfd_keeps_exit_status() ? std::optional(true) : std::nullopt);

  start_victim({});  // which ends at once, as it is not told what to be
  const io::Descriptor ended = pidfd();
  ASSERT_TRUE(ended);
  ASSERT_TRUE(victim_.wait(std::chrono::seconds(10)));
  EXPECT_EQ(ended_by_signal(ended.get()), pidfd_keeps_exit_status() ? std::optional(false) : std::nullopt);

  const io::Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(ended_by_signal(nothing.get()), std::nullopt) << "no pidfd";
}

// The first thread ends and the others go on, which is no death; nor is the end of one of the others. That
// the whole ends later is noticed all the same.
TEST_F(Watch, EndOfSomeThreadsIsNoDeath) {
  start_victim(256, 20);
  watch();
  ASSERT_TRUE(reaches(State::runs));
  const std::size_t before = threads();
  ASSERT_TRUE(victim_.send(SIGUSR2));
  ASSERT_TRUE(io::run_until(loop_, [&] { return threads() < before; }));
  let_it_look();
  EXPECT_EQ(watch_->state(), State::runs);

  ASSERT_TRUE(victim_.send(SIGUSR1));
  ASSERT_TRUE(io::run_until(loop_, [&] { return task_state(victim_.pid()) == "Z"; }));
  let_it_look();
  EXPECT_EQ(watch_->state(), State::runs);
  dies_of(SIGKILL, "SIGKILL after the first thread had ended, 256 MiB",
          false);  // of that one nobody can tell
}

// A frozen process is killed: it dies though it does not run.
TEST_F(Watch, KillsAFrozenProcess) {
  start_victim(256, 20);
  watch();
  ASSERT_TRUE(reaches(State::runs));
  ASSERT_TRUE(victim_.freeze());
  let_it_look();
  EXPECT_EQ(watch_->state(), State::runs);
  ASSERT_TRUE(watch_->kill());
  ASSERT_TRUE(reaches(State::exited));
  EXPECT_FALSE(watch_->kill()) << "it is gone";
}

// A server that runs when we come is found, one that comes later has started; and so on.
TEST_F(Watch, TellsAStartFromWhatRanBefore) {
  start_victim(1, 1);
  ASSERT_TRUE(io::run_until(loop_, [&] { return fs::exists(socket()); }));
  watch();
  ASSERT_TRUE(reaches(State::runs));
  if (seen_.size() == 1) {  // the file may be there a moment before somebody listens
    EXPECT_FALSE(started_);
  }
  victim_.kill();
  ASSERT_TRUE(reaches(State::exited));
  start_victim(1, 1);
  ASSERT_TRUE(reaches(State::runs));
  EXPECT_TRUE(started_);
  EXPECT_EQ(watch_->pid(), victim_.pid());
}

// No server at first: absent, unless one runs elsewhere on this host, of which we cannot know whose it is.
TEST_F(Watch, NobodyThere) {
  watch();
  ASSERT_TRUE(io::run_until(loop_, [&] { return !seen_.empty(); }));
  if (watch_->problem().empty()) {
    EXPECT_EQ(watch_->state(), State::absent);
  } else {
    EXPECT_EQ(watch_->state(), State::unknown);
    EXPECT_NE(watch_->problem().find("runs on this host"), std::string::npos) << watch_->problem();
  }
  start_victim(1, 1);
  ASSERT_TRUE(reaches(State::runs));
  EXPECT_TRUE(started_);
  EXPECT_TRUE(watch_->problem().empty());
}

// The name of a thread may hold anything, and a line may be cut anywhere.
TEST(TaskFlags, AreFoundBehindAnyName) {
  EXPECT_EQ(task_flags("12 (mysqld) S 1 12 12 0 -1 4194560 5 6"), 4194560U);
  EXPECT_EQ(task_flags("12 (a) b ) (4) S 1 12 12 0 -1 1028 5"), 1028U);
  EXPECT_EQ(task_flags("12 (mysqld) S 1 12 12 0 -1 41"), std::nullopt) << "the number may go on";
  EXPECT_EQ(task_flags("12 (mysqld) S 1 12"), std::nullopt);
  EXPECT_EQ(task_flags("12 (mysqld) S 1 12 12 0 -1 x "), std::nullopt);
  EXPECT_EQ(task_flags("12 (mysqld"), std::nullopt);
  EXPECT_EQ(task_flags(""), std::nullopt);
}

}  // namespace
}  // namespace pointsman::agent
