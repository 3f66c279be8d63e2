// How a process ended that somebody else has waited for.
#include "health/agent/exit_status.h"

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "health/agent/process_watch.h"
#include "health/io/descriptor.h"
#include "tests/io/loop_until.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::agent {
namespace {

// Kernels tell of it since 6.15.
bool kernel_tells() {
  utsname name{};
  int major = 0;
  int minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return std::tuple(major, minor) >= std::tuple(6, 15);
}

class ExitStatus : public testing::Test {
 protected:
  void SetUp() override {
    auto made = testbed::TempDirectory::create("exit");
    ASSERT_TRUE(made) << made.error();
    directory_ = std::move(*made);
  }
  testbed::Process start(std::vector<std::string> argv) {
    auto started = testbed::Process::start(
        {.argv = std::move(argv), .directory = directory_.path(), .output = directory_.path() / "output"});
    EXPECT_TRUE(started) << started.error();
    return started ? std::move(*started) : testbed::Process();
  }
  testbed::TempDirectory directory_;
};

TEST_F(ExitStatus, OfAPidfd) {
  auto process = start({"/bin/sleep", "1000"});
  const io::Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0)));
  ASSERT_TRUE(pidfd);
  EXPECT_EQ(ended_by_signal(pidfd.get()), std::nullopt) << "it runs";
  process.kill();
  EXPECT_EQ(ended_by_signal(pidfd.get()), kernel_tells() ? std::optional(true) : std::nullopt);

  auto other = start({"/bin/sleep", "0.2"});
  const io::Descriptor other_pidfd(static_cast<int>(::syscall(SYS_pidfd_open, other.pid(), 0)));
  ASSERT_TRUE(other_pidfd);
  ASSERT_TRUE(other.wait(std::chrono::seconds(10)));
  EXPECT_EQ(ended_by_signal(other_pidfd.get()), kernel_tells() ? std::optional(false) : std::nullopt);

  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const io::Descriptor reader(ends[0]);
  const io::Descriptor writer(ends[1]);
  EXPECT_EQ(ended_by_signal(reader.get()), std::nullopt) << "no pidfd";
}

// A small server is gone, and waited for, between two looks at it.
TEST_F(ExitStatus, OfAServerThatWasNotSeenToDie) {
  auto server = start({AGENT_VICTIM, directory_.path() / "s", "1", "1"});
  io::Loop loop;
  ProcessWatch watch(loop, directory_.path() / "s", [](bool) {});
  const auto reaches = [&](ProcessWatch::State state) {
    return io::run_until(loop, [&] { return watch.state() == state; });
  };
  ASSERT_TRUE(reaches(ProcessWatch::State::runs));
  server.kill();
  ASSERT_TRUE(reaches(ProcessWatch::State::exited));
  EXPECT_EQ(watch.by_signal(), kernel_tells());
}

}  // namespace
}  // namespace pointsman::agent
