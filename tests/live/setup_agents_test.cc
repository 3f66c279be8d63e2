#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "health/setup/admin.h"
#include "tests/live/copies_world.h"
#include "tests/live/writer.h"

// MariaDB: `pointsman setup` has the agents of both hosts copy the data by mariadb-backup.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;

class AgentsCopyTest : public testing::Test {
 protected:
  void start(std::vector<std::vector<std::string>> settings = {{}, {}}) {
    world = CopiesWorld::make(std::move(settings));
    ASSERT_EQ(world.copies.size(), 2U);
    ASSERT_FALSE(HasFailure());
  }
  void give_own_data() {
    world.world.tell(1, {"SET GLOBAL read_only = OFF", "CREATE DATABASE own", "CREATE TABLE own.t (id INT)",
                         "INSERT INTO own.t VALUES (7)"});
  }
  std::string logs() const { return "\ndb1: " + world.log(0) + "\ndb2: " + world.log(1); }
  // Becomes true within a minute.
  static bool eventually(const std::function<bool()>& holds) {
    for (const auto until = std::chrono::steady_clock::now() + 60s; std::chrono::steady_clock::now() < until;
         std::this_thread::sleep_for(20ms)) {
      if (holds()) return true;
    }
    return false;
  }

  CopiesWorld world;
};

// Two clients write all the time: no row is missing on the copy and none comes twice, replication runs, and
// no commit waits for long. The files are as the old ones were, and nothing is left.
TEST_F(AgentsCopyTest, CopiesWhileClientsWrite) {
  const std::vector<std::string> parallel{"slave_parallel_threads = 8"};
  ASSERT_NO_FATAL_FAILURE(start({parallel, parallel}));
  auto& setup = world.world;
  setup.fill(0, 60000);
  setup.tell(0, {World::table});
  std::ofstream(setup.db(1).data_directory() / "server-cert.pem") << "of this host\n";
  struct stat before{};
  ASSERT_EQ(::stat(setup.db(1).data_directory().c_str(), &before), 0);
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 2; ++i) {
    const auto log_in = [&setup] { return setup.db(0).connect({"app", "app-secret"}, "app"); };
    writers.push_back(std::make_unique<Writer>(log_in, i, 2));
  }
  for (const auto& writer : writers) ASSERT_TRUE(writer->wait_for(20, 60s)) << writer->last_error();
  const auto begun = std::chrono::steady_clock::now();
  const auto done = setup.setup();
  const auto took = std::chrono::steady_clock::now() - begun;
  for (const auto& writer : writers) {
    EXPECT_TRUE(writer->wait_for(20, 60s)) << writer->last_error();
    EXPECT_EQ(writer->errors(), 0U) << writer->last_error();
    const auto gap = writer->longest_gap(begun);
    std::printf("longest wait of a writer while %ld ms of setup ran: %ld ms\n", static_cast<long>(took / 1ms),
                static_cast<long>(gap.count()));
    EXPECT_LT(gap, 3s);
  }
  for (const auto& writer : writers) writer->stop();
  ASSERT_EQ(done.code, 0) << done.out << done.err << logs();
  EXPECT_NE(done.out.find("by mariadb-backup, which the agents"), std::string::npos) << done.out;
  const std::string rows = "SELECT CONCAT(COUNT(*), ' ', SUM(id)) FROM app.`rows`";
  const std::string wanted = setup.ask(0, rows);
  EXPECT_TRUE(eventually([&] { return setup.ask(1, rows) == wanted; })) << setup.ask(1, rows);
  EXPECT_EQ(setup.why_not_copy(0, 1), "") << done.out << done.err;
  EXPECT_FALSE(writable(setup.db(1)));
  EXPECT_TRUE(eventually([&] { return world.what_is_left(1).empty(); })) << world.what_is_left(1);
  struct stat after{};
  ASSERT_EQ(::stat(setup.db(1).data_directory().c_str(), &after), 0);
  EXPECT_NE(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_mode, after.st_mode);
  EXPECT_TRUE(std::filesystem::exists(setup.db(1).data_directory() / "server-cert.pem"));
  EXPECT_FALSE(std::filesystem::exists(setup.db(1).data_directory() / "backup-my.cnf"));
}

// The way is said beforehand, and nothing is changed by asking.
TEST_F(AgentsCopyTest, DryRunSaysWhichWay) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.world.fill(0, 10);
  const auto by_agents = world.world.setup({"--dry-run"});
  EXPECT_EQ(by_agents.code, 0) << by_agents.err;
  EXPECT_NE(by_agents.out.find("by mariadb-backup, which the agents"), std::string::npos) << by_agents.out;
  EXPECT_NE(by_agents.out.find("mariadb-backup --prepare"), std::string::npos) << by_agents.out;
  EXPECT_EQ(world.what_is_left(1), "");
  world.copies[1].kill();
  const auto by_dump = world.world.setup({"--dry-run"});
  EXPECT_EQ(by_dump.code, 0) << by_dump.err;
  EXPECT_NE(by_dump.out.find("by mariadb-dump, not by mariadb-backup: the agent of db2 is not reached"),
            std::string::npos)
      << by_dump.out;
  EXPECT_NE(by_dump.out.find("mariadb-dump"), std::string::npos) << by_dump.out;
}

// Without one of the agents, and with agents that have another key, the copy is a dump.
TEST_F(AgentsCopyTest, DumpsWhereTheAgentsCannot) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.world.fill(0, 100);
  ASSERT_TRUE(
      world.world.daemon->set_authkeys(testbed::authkeys_text("another-secret-than-the-agents-have")));
  const auto done = world.world.setup();
  ASSERT_EQ(done.code, 0) << done.out << done.err;
  EXPECT_NE(done.out.find("by mariadb-dump, not by mariadb-backup: the agent of db1 is not reached"),
            std::string::npos)
      << done.out;
  EXPECT_TRUE(world.log(0).contains("refused")) << world.log(0);
  EXPECT_EQ(world.world.why_not_copy(0, 1), "") << done.out << done.err;
}

// A second run beside the first one: it is told so, and nothing is done to a server that the first one works
// on.
TEST_F(AgentsCopyTest, MakesOneCopyAtATime) {
  ASSERT_NO_FATAL_FAILURE(start());
  world.world.fill(0, 100);
  const auto output = world.world.daemon->directory() / "setup.log";
  world.managers[1]->hold("prepare");
  auto first = world.start_setup({}, output);
  ASSERT_TRUE(world.managers[1]->wait_at("prepare")) << testbed::read_tail(output, 10000) << logs();
  const auto second = world.world.setup();
  EXPECT_EQ(second.code, 1) << second.out;
  EXPECT_NE(second.err.find("it is at work already"), std::string::npos) << second.out << second.err;
  world.managers[1]->release("prepare");
  const auto end = first.wait(120s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << testbed::read_tail(output, 10000) << logs();
  EXPECT_EQ(world.world.why_not_copy(0, 1), "");
}

// The agent ends the connections of clients when it takes note of a mysqld that was just started, ours among
// them, whatever it is about to do.
TEST_F(AgentsCopyTest, LostConnectionIsOpenedOnce) {
  ASSERT_NO_FATAL_FAILURE(start());
  const mysql::Waker deaf;
  setup::Admin admin({.name = "db2",
                      .address = {world.world.db(1).socket_path().string(), 0},
                      .account = {.user = "root", .password_file = {}, .password = ""}},
                     deaf);
  int attempts = 0;
  int kills = 1;
  const auto steps = [&]() -> setup::Outcome {
    ++attempts;
    const auto id = admin.value("SELECT CONNECTION_ID()");
    if (!id) return std::unexpected(id.error());
    if (kills-- > 0) world.world.tell(1, {"KILL " + *id});
    return admin.run("RESET MASTER");
  };
  const auto done = admin.repeat_if_lost(steps);
  EXPECT_TRUE(done) << done.error().text;
  EXPECT_EQ(attempts, 2);

  attempts = 0;
  kills = 100;
  EXPECT_FALSE(admin.repeat_if_lost(steps));
  EXPECT_EQ(attempts, 2);

  attempts = 0;
  const auto wrong = admin.repeat_if_lost([&] {
    ++attempts;
    return admin.run("RESET NOTHING");
  });
  EXPECT_FALSE(wrong);
  EXPECT_EQ(attempts, 1);
}

// Who is killed, and while what is going on at the recipient (db2) or the donor (db1).
struct Kill {
  const char* name;
  enum Who { setup, donor, recipient } who;
  const char* stage;
  std::size_t host;  // whose stage
};
void PrintTo(const Kill& kill, std::ostream* out) {
  *out << kill.name;
}

class KilledCopyTest : public AgentsCopyTest, public testing::WithParamInterface<Kill> {};

// The recipient has its old data and runs on them, nothing of the copy is left once the agent runs, and the
// next try succeeds.
TEST_P(KilledCopyTest, LeavesTheOldData) {
  const Kill& kill = GetParam();
  ASSERT_NO_FATAL_FAILURE(start());
  world.world.fill(0, 2000);
  give_own_data();
  const auto output = world.world.daemon->directory() / "setup.log";
  world.managers[kill.host]->hold(kill.stage);
  auto setup = world.start_setup({"--overwrite", "db2"}, output);
  ASSERT_TRUE(world.managers[kill.host]->wait_at(kill.stage)) << testbed::read_tail(output, 10000) << logs();
  (kill.who == Kill::setup ? setup : world.copies[kill.who == Kill::donor ? 0 : 1]).kill();
  world.managers[kill.host]->release(kill.stage);
  if (kill.who != Kill::setup) {
    const auto end = setup.wait(120s);
    ASSERT_TRUE(end) << testbed::read_tail(output, 10000);
    EXPECT_EQ(end->code, 1) << testbed::read_tail(output, 10000);
    world.start_copies(kill.who == Kill::donor ? 0 : 1);
  }
  EXPECT_TRUE(eventually([&] { return world.what_is_left(1).empty(); })) << world.what_is_left(1) << logs();
  EXPECT_TRUE(eventually([&] { return world.world.ask(1, "SELECT id FROM own.t") == "7"; }))
      << world.world.ask(1, "SELECT id FROM own.t") << logs();
  const auto again = world.world.setup({"--overwrite", "db2"});
  ASSERT_EQ(again.code, 0) << again.out << again.err << logs();
  EXPECT_NE(again.out.find("by mariadb-backup, which the agents"), std::string::npos) << again.out;
  EXPECT_EQ(world.world.why_not_copy(0, 1), "") << again.out << again.err;
  EXPECT_NE(world.world.ask(1, "SELECT id FROM own.t"), "7");
  // The old data go when `setup` has ended already.
  EXPECT_TRUE(eventually([&] { return world.what_is_left(1).empty(); })) << world.what_is_left(1);
}

INSTANTIATE_TEST_SUITE_P(Kills, KilledCopyTest,
                         testing::Values(Kill{"SetupWhileBackup", Kill::setup, "backup", 0},
                                         Kill{"DonorWhileBackup", Kill::donor, "backup", 0},
                                         Kill{"RecipientWhileBackup", Kill::recipient, "backup", 0},
                                         Kill{"SetupWhilePrepare", Kill::setup, "prepare", 1},
                                         Kill{"RecipientWhilePrepare", Kill::recipient, "prepare", 1},
                                         Kill{"SetupWhileStop", Kill::setup, "stop", 1},
                                         Kill{"RecipientWhileStop", Kill::recipient, "stop", 1},
                                         Kill{"SetupWhileStart", Kill::setup, "start", 1},
                                         Kill{"RecipientWhileStart", Kill::recipient, "start", 1}),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace pointsman::live
