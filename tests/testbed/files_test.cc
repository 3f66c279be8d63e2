#include "tests/testbed/files.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace pointsman::testbed {
namespace {

namespace fs = std::filesystem;

// A folder is private, holds what is put into it, and is gone with all of it when its owner ends.
TEST(TempDirectory, IsPrivateAndRemovedAtTheEnd) {
  fs::path path;
  {
    const auto made = TempDirectory::create("test");
    ASSERT_TRUE(made) << made.error();
    path = made->path();
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
    fs::create_directories(path / "a/b");
    ASSERT_TRUE(write_file(path / "a/b/file", "text"));
  }
  EXPECT_FALSE(fs::exists(path));
}

// A folder that holds something already is somebody's, and is neither used nor removed.
TEST(TempDirectory, RefusesAFolderInUse) {
  const auto outer = TempDirectory::create("test");
  ASSERT_TRUE(outer);
  ASSERT_TRUE(write_file(outer->path() / "precious", "x"));
  EXPECT_FALSE(TempDirectory::create_at(outer->path()));
  EXPECT_TRUE(fs::exists(outer->path() / "precious"));
}

// What is moved from no longer removes anything.
TEST(TempDirectory, MovesItsDuty) {
  auto first = TempDirectory::create("test");
  ASSERT_TRUE(first);
  const fs::path path = first->path();
  {
    TempDirectory second = std::move(*first);
    first = std::unexpected("gone");
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

// Many ports held at once all differ, as they do between tests that run side by side.
TEST(PortLease, GivesEachItsOwn) {
  std::vector<PortLease> leases;
  std::set<std::uint16_t> numbers;
  for (int i = 0; i < 50; ++i) {
    auto lease = PortLease::pick();
    ASSERT_TRUE(lease) << lease.error();
    numbers.insert(lease->number());
    leases.push_back(std::move(*lease));
  }
  EXPECT_EQ(numbers.size(), leases.size());
  EXPECT_GE(*numbers.begin(), 20000);
  EXPECT_LT(*numbers.rbegin(), 32000);
}

// A password file is 0600 whatever the umask or an older file's mode.
TEST(WriteFile, SetsTheModeOfAnOldFileToo) {
  const auto folder = TempDirectory::create("test");
  ASSERT_TRUE(folder);
  const fs::path file = folder->path() / "password";
  ASSERT_TRUE(write_file(file, "old and longer", 0644));
  ASSERT_TRUE(write_file(file, "new"));
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(read_tail(file, 100), "new");
  EXPECT_EQ(read_tail(file, 2), "ew");
}

TEST(LastLines, TakesTheEndOnly) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc");
  EXPECT_EQ(last_lines("a\nb\nc", 5), "a\nb\nc");
  EXPECT_EQ(last_lines("", 5), "");
  EXPECT_EQ(last_lines("a", 0), "");
}

}  // namespace
}  // namespace pointsman::testbed
