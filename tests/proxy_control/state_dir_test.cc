#include "proxy/state_dir.h"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/testbed/files.h"

namespace pointsman::proxy {
namespace {

using core::ChangeMark;
using core::DurableState;
using core::Epoch;

class StateDirTest : public testing::Test {
 protected:
  StateDirTest() : directory_(*testbed::TempDirectory::create("statedir")) {}
  std::string path() const { return (directory_.path() / "state").string(); }

  testbed::TempDirectory directory_;
};

DurableState full_state() {
  DurableState state;
  state.epoch = Epoch{17};
  state.primary = "db2";
  state.change = ChangeMark{.kind = "failover", .from = "db1", .to = "db2"};
  state.automatic = false;
  state.paused = true;
  state.maintenance = {"db3"};
  state.quarantined = {"db1", "db4"};
  state.following = {"db5"};
  state.degraded =
      core::Degraded{"db2", *core::GtidSet::parse(core::Flavour::mariadb, "0-1-7,0-2-120"),
                     *core::GtidSet::parse(core::Flavour::mariadb, "0-1-7,0-2-163"), 1790000000123};
  state.leaders = {{"db4", "db2"}, {"db5", "db1"}};
  state.events_due = core::EventsDue{true};
  return state;
}

// A new directory is made, and there is nothing in it yet.
TEST_F(StateDirTest, StartsEmpty) {
  const auto state_dir = StateDir::open(path());
  ASSERT_TRUE(state_dir.has_value()) << state_dir.error();
  EXPECT_EQ(*state_dir->load(), DurableState{});
}

// What was saved is what is loaded, each member of it; the newest wins.
TEST_F(StateDirTest, RoundTrip) {
  const auto state_dir = StateDir::open(path());
  ASSERT_TRUE(state_dir.has_value());
  ASSERT_TRUE(StateDir::save(path(), DurableState{}).has_value());
  ASSERT_TRUE(StateDir::save(path(), full_state()).has_value());
  const auto loaded = state_dir->load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error();
  EXPECT_EQ(*loaded, full_state());
}

// As it was written before there was anything to say of semi-sync; and a server without any transaction.
TEST_F(StateDirTest, OldFilesLoad) {
  const auto state_dir = StateDir::open(path());
  ASSERT_TRUE(state_dir.has_value());
  std::ofstream(path() + "/state.json", std::ios::trunc)
      << R"({"format": 1, "epoch": 3, "primary": "db1", "paused": false, "maintenance": [], "quarantined": [],)"
      << R"( "following": []})";
  const auto loaded = state_dir->load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error();
  EXPECT_EQ(loaded->primary, "db1");
  EXPECT_FALSE(loaded->degraded);

  DurableState bare = *loaded;
  bare.degraded = core::Degraded{"db1", {}, {}, 1};
  ASSERT_TRUE(StateDir::save(path(), bare).has_value());
  EXPECT_EQ(*state_dir->load(), bare);
}

// Two daemons with one state would promote under the same epoch: the second does not start.
TEST_F(StateDirTest, OneDaemonAtATime) {
  {
    const auto first = StateDir::open(path());
    ASSERT_TRUE(first.has_value());
    const auto second = StateDir::open(path());
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error(), "another pointsman runs with proxy.state_dir " + path());
  }
  EXPECT_TRUE(StateDir::open(path()).has_value()) << "the lock goes with its owner";
}

// A damaged file must not be taken for "no state": that would forget the epoch and who is primary.
TEST_F(StateDirTest, DamagedFileIsAnError) {
  const auto state_dir = StateDir::open(path());
  ASSERT_TRUE(state_dir.has_value());
  ASSERT_TRUE(StateDir::save(path(), full_state()).has_value());
  const std::string file = path() + "/state.json";
  std::ifstream in(file);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (std::size_t length = 0; length + 2 < good.size(); ++length) {
    std::ofstream(file, std::ios::trunc) << good.substr(0, length);
    const auto loaded = state_dir->load();
    ASSERT_FALSE(loaded.has_value()) << "of " << length << " bytes";
    EXPECT_NE(loaded.error().find(file + " cannot be understood"), std::string::npos) << loaded.error();
  }
  std::ofstream(file, std::ios::trunc) << R"({"format": 2, "epoch": 1})";
  EXPECT_FALSE(state_dir->load().has_value()) << "another format";
}

// A disk that takes nothing: saving fails with the reason, and the old state is still there. (/dev/full
// stands for the disk.)
TEST_F(StateDirTest, FailedSaveKeepsTheOldState) {
  const auto state_dir = StateDir::open(path());
  ASSERT_TRUE(state_dir.has_value());
  ASSERT_TRUE(StateDir::save(path(), full_state()).has_value());
  ASSERT_EQ(::symlink("/dev/full", (path() + "/state.json.new").c_str()), 0);
  DurableState newer = full_state();
  newer.epoch = Epoch{18};
  const auto saved = StateDir::save(path(), newer);
  ASSERT_FALSE(saved.has_value());
  EXPECT_NE(saved.error().find("No space left on device"), std::string::npos) << saved.error();
  EXPECT_EQ(*state_dir->load(), full_state());
}

// A path that cannot be a directory is named, with what the system said.
TEST_F(StateDirTest, UnusablePath) {
  const auto below_file = StateDir::open("/dev/null/state");
  ASSERT_FALSE(below_file.has_value());
  EXPECT_EQ(below_file.error(), "cannot create proxy.state_dir /dev/null/state: Not a directory");
  EXPECT_FALSE(StateDir::open((directory_.path() / "a/b/c").string()).has_value())
      << "only the last part is made";
}

}  // namespace
}  // namespace pointsman::proxy
