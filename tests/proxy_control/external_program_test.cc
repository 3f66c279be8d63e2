#include "proxy/external_program.h"

#include <csignal>

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

// A fence agent reads its options on standard input and says yes by its exit status.
TEST(ExternalProgram, GetsItsInputAndSucceeds) {
  const auto result = run_program({"grep", "-qx", "plug=db1"}, fence_options("db1"), 10s);
  EXPECT_TRUE(result.has_value()) << result.error();
}

// Its refusal is told with what it printed last.
TEST(ExternalProgram, FailureSaysWhy) {
  const auto result = run_program({"sh", "-c", "echo no such plug >&2; exit 3"}, "", 10s);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), "sh failed with status 3, and said: no such plug");
}

TEST(ExternalProgram, SignalIsAFailure) {
  const auto result = run_program({"sh", "-c", "kill -9 $$"}, "", 10s);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), "sh was ended by signal 9");
}

TEST(ExternalProgram, MissingProgram) {
  const auto result = run_program({"/no/such/program"}, "", 10s);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), "cannot start /no/such/program: No such file or directory");
}

// One that never ends is ended, with whatever it started, and counts as failed.
TEST(ExternalProgram, HangingProgramIsEnded) {
  const auto result = run_program({"sh", "-c", "sleep 1000 & echo waiting; wait"}, "", 300ms);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), "sh did not end within 300 ms, and said: waiting");
}

// One that prints without end and one that reads nothing do not hang or fill the memory.
TEST(ExternalProgram, BabblerAndDeaf) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto babbler = run_program({"sh", "-c", "yes | head -c 10000000; exit 1"}, "", 20s);
  ASSERT_FALSE(babbler.has_value());
  EXPECT_LT(babbler.error().size(), max_program_output + 100);
  EXPECT_TRUE(run_program({"true"}, std::string(1000000, 'x'), 10s).has_value());
}

}  // namespace
}  // namespace pointsman::proxy
