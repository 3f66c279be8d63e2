// What an agent remembers over its restart.
#include "health/agent/role_file.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/testbed/files.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;

const core::GuardMemory primary{.epoch = core::Epoch{7},
                                .primary = true,
                                .lease = 800ms,
                                .lease_until = core::Instant(5s),
                                .kill_hung = true};

// The folder is made, the file written and replaced, and read again.
TEST(RoleFile, KeepsTheRole) {
  const auto directory = *testbed::TempDirectory::create("role");
  const RoleFile file(directory.path() / "state");
  EXPECT_EQ(*file.load(), core::GuardMemory{}) << "there is none yet";
  ASSERT_TRUE(file.save({}));
  ASSERT_TRUE(file.save(primary));
  EXPECT_EQ(*file.load(), primary);
  EXPECT_EQ(*RoleFile(directory.path() / "state").load(), primary);
}

// After a reboot the server starts without a role, whatever a file on a disk says.
TEST(RoleFile, IsWorthNothingAfterAReboot) {
  const std::string text = role_text(primary, "boot-1");
  EXPECT_EQ(*parse_role(text, "boot-1"), primary);
  EXPECT_EQ(*parse_role(text, "boot-2"), core::GuardMemory{});
}

// An agent is upgraded while it guards a primary.
TEST(RoleFile, ReadsWhatAnOlderAgentKept) {
  const auto memory = parse_role(
      "pointsman-agent role 1\nboot=b\nepoch=7\nprimary=1\nlease_ms=800\nlease_until_ns=5000000000\n"
      "read_only_by_us=0\n",
      "b");
  ASSERT_TRUE(memory);
  core::GuardMemory expected = primary;
  expected.kill_hung = false;
  EXPECT_EQ(*memory, expected);
}

// Cut off at any place, or with any byte changed to another digit or letter: refused, or another number,
// never a crash.
TEST(RoleFile, RefusesADamagedFile) {
  const std::string text = role_text(primary, "b");
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_role(text.substr(0, length), "b")) << length;
  for (const std::string bad : {"epoch=-1", "epoch=1x", "epoch=", "epoch=99999999999999999999"}) {
    std::string changed = text;
    changed.replace(changed.find("epoch=7"), 7, bad);
    EXPECT_FALSE(parse_role(changed, "b")) << bad;
  }
  EXPECT_FALSE(parse_role(text + "more=1\n", "b"));
  EXPECT_FALSE(parse_role(std::string(100'000, 'x'), "b"));

  const auto directory = *testbed::TempDirectory::create("role");
  const RoleFile file(directory.path());
  ASSERT_TRUE(testbed::write_file(file.path(), "nonsense"));
  EXPECT_FALSE(file.load());
  ASSERT_TRUE(file.save(primary)) << "and is replaced";
  EXPECT_EQ(*file.load(), primary);
}

// A folder that cannot be written, a folder in place of the file: said in words.
TEST(RoleFile, SaysWhyItCannotBeKept) {
  const auto directory = *testbed::TempDirectory::create("role");
  const RoleFile nowhere(directory.path() / "no" / "such");
  EXPECT_NE(nowhere.save(primary).error().find("No such file"), std::string::npos);
  std::filesystem::create_directory(directory.path() / "role");
  const RoleFile blocked(directory.path());
  EXPECT_FALSE(blocked.save(primary));
  EXPECT_FALSE(blocked.load());
}

}  // namespace
}  // namespace pointsman::agent
