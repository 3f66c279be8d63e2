#include "health/agent/copy_spool.h"

#include <chrono>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "health/mysql/boot_clock.h"

// Scripts that write as mariadb-backup does, and somebody who takes what they write, or does not.
namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;
using State = CopySpool::State;

struct Backup {
  explicit Backup(const std::string& script) {
    const auto started = child.start({.argv = {"sh", "-c", script}, .data = copy::Child::Data::child_writes});
    EXPECT_TRUE(started);
  }
  // Of the child, while nobody takes anything.
  bool ends_within(std::chrono::milliseconds time) const {
    for (const auto until = mysql::boot_now() + time; mysql::boot_now() < until;
         std::this_thread::sleep_for(10ms)) {
      if (child.ended()) return true;
    }
    return child.ended();
  }
  copy::Child child;
};

// How many bytes there were, or why it failed.
std::expected<std::size_t, std::string> take_all(CopySpool& spool) {
  std::size_t bytes = 0;
  std::string piece;
  for (const auto until = mysql::boot_now() + 30s; mysql::boot_now() < until;) {
    const auto state = spool.take(piece);
    if (!state) return std::unexpected(state.error());
    if (*state == State::end) return bytes;
    if (*state == State::data) bytes += piece.size();
  }
  return std::unexpected("no end");
}

constexpr const char* write_20_mib = "head -c 20971520 /dev/zero";

TEST(CopySpool, ReadsNoMoreAheadThanItMayAndLosesNothing) {
  Backup backup(write_20_mib);
  CopySpool spool(backup.child, {});
  EXPECT_FALSE(backup.ends_within(1s)) << "20 MiB were read ahead, where 4 are allowed";
  EXPECT_EQ(take_all(spool), 20'971'520U);
  EXPECT_FALSE(spool.locked());
}

// From the lock on it is never held up, though nobody takes anything.
TEST(CopySpool, DoesNotHoldUpABackupThatHoldsTheLock) {
  Backup backup(std::string("echo 'Starting BACKUP STAGE BLOCK_COMMIT' >&2; sleep 0.3; ") + write_20_mib);
  CopySpool spool(backup.child, {});
  EXPECT_TRUE(backup.ends_within(20s));
  EXPECT_TRUE(spool.locked());
  EXPECT_EQ(take_all(spool), 20'971'520U);
}

// The lock is got while much is waiting already.
TEST(CopySpool, MakesRoomWhenTheLockComes) {
  Backup backup("head -c 20971520 /dev/zero & sleep 1; echo 'Acquiring BACKUP LOCKS...' >&2; wait");
  CopySpool spool(backup.child, {});
  EXPECT_TRUE(backup.ends_within(20s));
  EXPECT_EQ(take_all(spool), 20'971'520U);
}

// When even the memory for it is full, commits come before the copy.
TEST(CopySpool, EndsABackupThatWouldHoldUpCommits) {
  Backup backup(std::string("echo BLOCK_COMMIT >&2; sleep 0.3; ") + write_20_mib);
  CopySpool spool(backup.child, {.usual = 1 << 16, .locked = 1 << 20, .patience = 500ms});
  EXPECT_TRUE(backup.ends_within(20s));
  const auto taken = take_all(spool);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().find("the server's commits wait"), std::string::npos) << taken.error();
}

TEST(CopySpool, EndsABackupThatGivesNothing) {
  Backup backup("sleep 60");
  CopySpool spool(backup.child, {.stall = 500ms});
  const auto taken = take_all(spool);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), "mariadb-backup gives nothing any more");
  EXPECT_TRUE(backup.ends_within(5s));
}

// Who takes slowly, but takes, is waited for, for as long as commits do not wait.
TEST(CopySpool, WaitsForASlowOne) {
  Backup backup(write_20_mib);
  CopySpool spool(backup.child, {.usual = 1 << 20, .patience = 100ms, .stall = 800ms});
  std::string piece;
  std::size_t bytes = 0;
  for (const auto until = mysql::boot_now() + 2s; mysql::boot_now() < until;
       std::this_thread::sleep_for(100ms)) {
    const auto state = spool.take(piece);
    ASSERT_TRUE(state) << state.error();
    bytes += piece.size();
  }
  const auto rest = take_all(spool);
  ASSERT_TRUE(rest) << rest.error();
  EXPECT_EQ(bytes + *rest, 20'971'520U);
}

}  // namespace
}  // namespace pointsman::agent
