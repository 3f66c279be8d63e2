#include "health/agent/copy_state.h"

#include <fstream>

#include <gtest/gtest.h>

#include "health/agent/copy_facts.h"
#include "health/agent/copy_recipient.h"
#include "health/agent/server_control.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

// What is on disk while a copy takes the place of a server's data, and how it is put right from each state.
namespace pointsman::agent {
namespace {

namespace fs = std::filesystem;
using Stage = CopyState::Stage;

class CopyFoldersTest : public testing::Test {
 protected:
  void make(const fs::path& folder, const std::string& what) {
    fs::create_directory(folder);
    std::ofstream(folder / "file") << what;
  }
  static std::string content(const fs::path& folder) {
    std::string text;
    std::ifstream(folder / "file") >> text;
    return text;
  }
  // A server that nobody has to stop or start: the commands note that they were called.
  conf::AgentConfig config() {
    conf::AgentConfig config;
    config.mysql.socket = (dir.path() / "no.sock").string();
    config.copy.state_dir = (dir.path() / "state").string();
    config.copy.stop_command = {"/bin/sh", "-c", "echo stop >> " + (dir.path() / "calls").string()};
    config.copy.start_command = {"/bin/sh", "-c",
                                 "echo start >> " + (dir.path() / "calls").string() + "; exit 1"};
    return config;
  }
  std::string calls() {
    std::ifstream file(dir.path() / "calls");
    std::string text;
    for (std::string line; std::getline(file, line);) text += line + " ";
    return text;
  }
  std::expected<std::string, std::string> recover(const conf::AgentConfig& config) {
    return CopyRecipient(config, -1, bell).recover();
  }

  testbed::TempDirectory dir = std::move(*testbed::TempDirectory::create("copy"));
  const CopyFolders folders{dir.path() / "data"};
  const mysql::Waker bell;
};

TEST(CopyState, IsReadAsItWasWritten) {
  for (const Stage stage : {Stage::filling, Stage::swapping, Stage::keeping}) {
    const CopyState state{stage, "/var/lib/a folder=x"};
    EXPECT_EQ(parse_copy_state(copy_state_text(state)), state);
  }
  const std::string good = copy_state_text({Stage::swapping, "/d"});
  for (std::size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(parse_copy_state(good.substr(0, cut))) << cut;
  EXPECT_FALSE(parse_copy_state(good + "x"));
  EXPECT_FALSE(parse_copy_state(copy_state_text({Stage::filling, "relative"})));
  EXPECT_FALSE(parse_copy_state(copy_state_text({Stage::filling, "/"})));
}

TEST_F(CopyFoldersTest, StateOutlivesTheProcess) {
  const CopyStateFile file((dir.path() / "state").string());
  EXPECT_EQ(*file.load(), std::nullopt);
  ASSERT_TRUE(file.save({Stage::filling, "/d"}));
  ASSERT_TRUE(file.save({Stage::swapping, "/d"}));
  EXPECT_EQ(CopyStateFile((dir.path() / "state").string()).load()->value(),
            (CopyState{Stage::swapping, "/d"}));
  ASSERT_TRUE(file.remove());
  EXPECT_EQ(*file.load(), std::nullopt);
  std::ofstream(file.path()) << "noise";
  EXPECT_FALSE(file.load());
}

TEST_F(CopyFoldersTest, ChangePlacesAndBack) {
  make(folders.data(), "old");
  EXPECT_EQ(folders.why_not(), "");
  make(folders.fresh(), "copy");
  EXPECT_NE(folders.why_not(), "");
  EXPECT_FALSE(folders.swapped());
  ASSERT_TRUE(folders.swap());
  EXPECT_TRUE(folders.swapped());
  EXPECT_EQ(content(folders.data()), "copy");
  EXPECT_EQ(content(folders.old()), "old");
  ASSERT_TRUE(folders.swap_back());
  EXPECT_EQ(content(folders.data()), "old");
  EXPECT_EQ(content(folders.fresh()), "copy");
  ASSERT_TRUE(folders.swap_back()) << "once more is fine";
  EXPECT_EQ(content(folders.data()), "old");
}

// Killed between the two renames: for a moment there is no data folder.
TEST_F(CopyFoldersTest, HalfASwapIsTakenBack) {
  make(folders.old(), "old");
  make(folders.fresh(), "copy");
  ASSERT_TRUE(folders.swap_back());
  EXPECT_EQ(content(folders.data()), "old");
  EXPECT_EQ(content(folders.fresh()), "copy");
}

// Somebody has made things that we did not: nothing is moved, and nothing is lost.
TEST_F(CopyFoldersTest, GuessesNothing) {
  make(folders.data(), "one");
  make(folders.fresh(), "two");
  make(folders.old(), "three");
  EXPECT_FALSE(folders.swap_back());
  EXPECT_EQ(content(folders.data()) + content(folders.fresh()) + content(folders.old()), "onetwothree");
}

TEST_F(CopyFoldersTest, RefusesALinkForAFolder) {
  make(dir.path() / "real", "x");
  fs::create_symlink(dir.path() / "real", folders.data());
  EXPECT_NE(folders.why_not(), "");
}

TEST_F(CopyFoldersTest, RecoversFromAnUnfinishedCopy) {
  make(folders.data(), "old");
  make(folders.fresh(), "copy");
  const auto settings = config();
  ASSERT_TRUE(CopyStateFile(settings.copy.state_dir).save({Stage::filling, folders.data()}));
  const auto done = recover(settings);
  ASSERT_TRUE(done) << done.error();
  EXPECT_EQ(content(folders.data()), "old");
  EXPECT_FALSE(fs::exists(folders.fresh()));
  EXPECT_EQ(calls(), "") << "the server was not touched yet";
  EXPECT_EQ(*recover(settings), "");
}

// Taken back before the server is started again; as it does not start here, the state stays for the next try.
TEST_F(CopyFoldersTest, RecoversFromEachStepOfASwap) {
  for (const int step : {0, 1, 2}) {
    make(step == 0 ? folders.data() : folders.old(), "old");
    make(step == 2 ? folders.data() : folders.fresh(), "copy");
    fs::create_directory((step == 2 ? folders.data() : folders.fresh()) / "pointsman_copy");
    const auto settings = config();
    const CopyStateFile file(settings.copy.state_dir);
    ASSERT_TRUE(file.save({Stage::swapping, folders.data()}));
    const auto done = recover(settings);
    ASSERT_FALSE(done);
    EXPECT_EQ(content(folders.data()), "old") << step;
    EXPECT_FALSE(fs::exists(folders.old())) << step;
    EXPECT_EQ(content(folders.fresh()), "copy") << step;
    EXPECT_EQ(calls(), step == 0 ? "start " : "stop start ") << step;
    EXPECT_EQ((*file.load())->stage, Stage::swapping);
    ASSERT_TRUE(file.remove());
    for (const fs::path& path : {folders.data(), folders.fresh(), dir.path() / "calls"}) fs::remove_all(path);
  }
}

TEST_F(CopyFoldersTest, FinishesWhatIsToBeKept) {
  make(folders.data(), "copy");
  make(folders.old(), "old");
  const auto settings = config();
  ASSERT_TRUE(CopyStateFile(settings.copy.state_dir).save({Stage::keeping, folders.data()}));
  ASSERT_TRUE(recover(settings));
  EXPECT_EQ(content(folders.data()), "copy");
  EXPECT_FALSE(fs::exists(folders.old()));
  EXPECT_EQ(calls(), "");
}

// `setup` went on without an agent that was away: the mark is gone from the data, which must not be taken
// away.
TEST_F(CopyFoldersTest, KeepsACopyThatWasAcceptedMeanwhile) {
  make(folders.data(), "copy");
  make(folders.old(), "old");
  const auto settings = config();
  ASSERT_TRUE(CopyStateFile(settings.copy.state_dir).save({Stage::swapping, folders.data()}));
  const auto done = recover(settings);
  ASSERT_TRUE(done) << done.error();
  EXPECT_EQ(content(folders.data()), "copy");
  EXPECT_FALSE(fs::exists(folders.old()));
  EXPECT_EQ(calls(), "");
}

// A server that does not listen yet is seen by where it works, and a stop waits for its end.
TEST_F(CopyFoldersTest, SeesWhoWorksInAFolder) {
  make(folders.data(), "old");
  EXPECT_EQ(find_process_in(folders.data()), 0);
  auto process = testbed::Process::start({.argv = {"sleep", "60"}, .directory = folders.data()});
  ASSERT_TRUE(process);
  EXPECT_EQ(find_process_in(folders.data()), process->pid());
  auto settings = config();
  settings.copy.stop_command = {"/bin/kill", std::to_string(process->pid())};
  const auto stopped = ServerControl(settings, -1, bell).stop(folders.data());
  EXPECT_TRUE(stopped) << stopped.error();
  EXPECT_FALSE(process->running());
}

// Binary logs may be larger than the data, and no copy has them.
TEST_F(CopyFoldersTest, KnowWhatACopyWeighs) {
  fs::create_directories(folders.data() / "app");
  const auto write = [&](const fs::path& name, std::size_t bytes) {
    std::ofstream(folders.data() / name) << std::string(bytes, 'x');
  };
  write("ibdata1", 1000);
  write("app/t.ibd", 200);
  write("app/binlog.ibd", 30);
  write("ib_logfile0", 4);
  write("binlog.000001", 50'000);
  write("binlog.index", 50'000);
  write("relay.000002", 50'000);
  const auto bytes = folder_bytes(folders.data(), "binlog\nrelay\n");
  EXPECT_EQ(bytes.needed, 1234U);
  EXPECT_EQ(bytes.copied, 1230U);
  EXPECT_EQ(folder_bytes(folders.data(), "\n").needed, 151'234U);
  EXPECT_EQ(folder_bytes(dir.path() / "none", "").needed, 0U);
}

TEST(BinlogInfo, IsRead) {
  EXPECT_EQ(parse_binlog_info("binlog.000001\t1600\t0-1-7\n"), (BinlogPosition{"binlog.000001", "1600"}));
  EXPECT_EQ(parse_binlog_info("binlog.000001\t4\n"), (BinlogPosition{"binlog.000001", "4"}));
  for (const char* text : {"", "binlog", "\t12", "binlog\t", "binlog\tx1\n", "binlog\t1); DROP\n"})
    EXPECT_FALSE(parse_binlog_info(text)) << text;
}

}  // namespace
}  // namespace pointsman::agent
