#include "proxy/external_program.h"

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;
using How = ProgramFailure::How;

// "" when it succeeded.
std::string failure_of(const ProgramOrder& order, How how) {
  const auto result = run_program(order);
  if (result) return "";
  EXPECT_EQ(result.error().how, how);
  return result.error().text;
}

// A fence agent reads its options on standard input and says yes by its exit status.
TEST(ExternalProgram, GetsItsInputAndSucceeds) {
  const auto result =
      run_program({.command = {"grep", "-qx", "plug=db1"}, .input = fence_options("db1"), .timeout = 10s});
  EXPECT_TRUE(result.has_value()) << result.error().text;
}

// Its refusal is told with what it printed last.
TEST(ExternalProgram, FailureSaysWhy) {
  EXPECT_EQ(
      failure_of({.command = {"sh", "-c", "echo no such plug >&2; exit 3"}, .timeout = 10s}, How::failed),
      "sh failed with status 3, and said: no such plug");
}

TEST(ExternalProgram, SignalIsAFailure) {
  EXPECT_EQ(failure_of({.command = {"sh", "-c", "kill -9 $$"}, .timeout = 10s}, How::failed),
            "sh was ended by signal 9");
}

TEST(ExternalProgram, MissingProgram) {
  EXPECT_EQ(failure_of({.command = {"/no/such/program"}, .timeout = 10s}, How::not_started),
            "cannot start /no/such/program: No such file or directory");
}

// Its last words count, however much it said at once before.
TEST(ExternalProgram, LastWordsAreHeard) {
  for (int i = 0; i < 20; ++i) {
    const std::string said =
        failure_of({.command = {"sh", "-c", "head -c 60000 /dev/zero | tr '\\0' x; echo; echo no; exit 1"},
                    .timeout = 10s},
                   How::failed);
    ASSERT_TRUE(said.ends_with("x\nno")) << said;
  }
}

// One that never ends is ended, with whatever it started, and counts as failed.
TEST(ExternalProgram, HangingProgramIsEnded) {
  EXPECT_EQ(failure_of({.command = {"sh", "-c", "sleep 1000 & echo waiting; wait"}, .timeout = 300ms},
                       How::timed_out),
            "sh did not end within 300 ms and was killed, and said: waiting");
}

// One that is not to be waited for any more is ended at once, also when that was said before it began.
TEST(ExternalProgram, StoppedEarly) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(
      failure_of({.command = {"sleep", "1000"}, .timeout = 1000s, .stop = stop.get_token()}, How::stopped),
      "sleep was ended early");
}

// What it is told by its environment replaces our own words of the same names, and nothing else.
TEST(ExternalProgram, Environment) {
  ASSERT_EQ(::setenv("POINTSMAN_TEST_A", "ours", 1), 0);
  ASSERT_EQ(::setenv("POINTSMAN_TEST_AB", "kept", 1), 0);
  const std::string question =
      R"([ "$POINTSMAN_TEST_A $POINTSMAN_TEST_AB" = "theirs kept" ] || { env; exit 1; })";
  EXPECT_EQ(
      failure_of(
          {.command = {"sh", "-c", question}, .timeout = 10s, .environment = {"POINTSMAN_TEST_A=theirs"}},
          How::failed),
      "");
  const auto count = R"([ $(env | grep -c '^POINTSMAN_TEST_A=') = 1 ])";
  EXPECT_EQ(
      failure_of({.command = {"sh", "-c", count}, .timeout = 10s, .environment = {"POINTSMAN_TEST_A=theirs"}},
                 How::failed),
      "");
}

// One that prints without end and one that reads nothing do not hang or fill the memory.
TEST(ExternalProgram, BabblerAndDeaf) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::string babble =
      failure_of({.command = {"sh", "-c", "yes | head -c 10000000; exit 1"}, .timeout = 20s}, How::failed);
  EXPECT_FALSE(babble.empty());
  EXPECT_LT(babble.size(), max_program_output + 100);
  EXPECT_EQ(
      failure_of({.command = {"true"}, .input = std::string(1000000, 'x'), .timeout = 10s}, How::failed), "");
}

}  // namespace
}  // namespace pointsman::proxy
