// The demo as a user runs it in a pipe.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/testbed/process.h"

namespace pointsman {
namespace {

using testbed::Millis;

// With short phases, in a pipe: every chapter is told in plain lines without an escape sequence, all gaps
// are measured, no row is missing, the exit status says so, and nothing is left behind.
TEST(DemoLive, TellsTheWholeStoryInAPipe) {
  const auto finished = testbed::run({.argv = {POINTSMAN_DEMO, "--seconds", "3"}}, Millis(240000));
  ASSERT_TRUE(finished) << finished.error();
  const std::string& text = finished->out;
  ASSERT_EQ(finished->code, 0) << text << finished->err;
  for (const char* line :
       {"1. Steady state", "commits a second", "2. kill -9 of the primary", "writes stood still for",
        "steps: ", "3. The old primary comes back", "db1 replicates from db2", "4. Switchover",
        "heartbeats: db1 udp alive, serial alive; db2 udp alive, serial alive", "5. The serial line is cut",
        "db1 udp alive, serial dead; db2 udp alive, serial alive", "nothing happened",
        "6. kill -STOP: the primary hangs", "kill -STOP of db1   writes went on at db2 after ",
        "7. Every acknowledged row is there", "all on both servers",
        "kill -9 of db1      writes went on at db2 after ",
        "switchover of db2   writes went on at db1 after ", "0 missing on db1, 0 missing on db2"}) {
    EXPECT_TRUE(text.contains(line)) << line << "\n" << text;
  }
  EXPECT_FALSE(text.contains('\x1b')) << text;
  const std::size_t at = text.find(", in /");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string folder = text.substr(at + 5, text.find('\n', at) - at - 5);
  EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
}

// A wrong option is answered by a sentence, and nothing is started.
TEST(DemoLive, RefusesNonsense) {
  const auto finished = testbed::run({.argv = {POINTSMAN_DEMO, "--product", "oracle"}}, Millis(30000));
  ASSERT_TRUE(finished) << finished.error();
  EXPECT_NE(finished->code, 0);
  EXPECT_TRUE(finished->err.contains("product")) << finished->err;
}

}  // namespace
}  // namespace pointsman
