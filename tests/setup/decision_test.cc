#include "health/setup/decision.h"

#include <gtest/gtest.h>

#include "tests/setup/surveys.h"

namespace pointsman::setup {
namespace {

using core::Flavour;

constexpr const char* uuid1 = "00000000-0000-0000-0000-000000000001";

std::string refused(const std::expected<Decision, std::vector<std::string>>& decision) {
  if (decision) return "";
  std::string text;
  for (const auto& reason : decision.error()) text += reason + "\n";
  return text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Two bare servers: the first of the configuration becomes the primary.
TEST(Decision, TakesTheFirstOfTwoBareServers) {
  const auto mariadb = decide({bare(Flavour::mariadb, 1), bare(Flavour::mariadb, 2)}, {});
  ASSERT_TRUE(mariadb) << refused(mariadb);
  EXPECT_EQ(mariadb->primary, 0U);
  EXPECT_EQ(mariadb->replicas.at(0).action, Action::copy);
  // MySQL's binary logs have all that a server without data ever did.
  const auto mysql = decide({bare(Flavour::mysql, 1), bare(Flavour::mysql, 2)}, {});
  ASSERT_TRUE(mysql) << refused(mysql);
  EXPECT_EQ(mysql->replicas.at(0).action, Action::follow);
}

// The one that has data wins, wherever it stands; nothing of its own is thrown away.
TEST(Decision, ASavedRowOutweighsTheOrder) {
  const auto decision =
      decide({bare(Flavour::mysql, 1), with_data(bare(Flavour::mysql, 2), std::string(uuid1) + ":1-9")}, {});
  ASSERT_TRUE(decision) << refused(decision);
  EXPECT_EQ(decision->primary, 1U);
  EXPECT_EQ(decision->replicas.at(0).action, Action::copy);
  EXPECT_FALSE(decision->replicas.at(0).overwrite);
}

// Both have data and nothing says whose count: refused with what each has and what to type. With both words
// it is done.
TEST(Decision, DoesNotChooseBetweenData) {
  const auto one = with_data(bare(Flavour::mariadb, 1), "0-1-9");
  const auto two = with_data(bare(Flavour::mariadb, 2), "0-2-5");
  const auto open = decide({one, two}, {});
  EXPECT_TRUE(has(refused(open), "--primary db1 --overwrite db2")) << refused(open);
  const auto half = decide({one, two}, {.primary = "db2", .overwrite = {}, .daemons_primary = ""});
  EXPECT_TRUE(has(refused(half), "--overwrite db1")) << refused(half);
  const auto told = decide({one, two}, {.primary = "db2", .overwrite = {"db1"}, .daemons_primary = ""});
  ASSERT_TRUE(told) << refused(told);
  EXPECT_EQ(told->primary, 1U);
  EXPECT_TRUE(told->replicas.at(0).overwrite);
  // Without --primary it is the one that may not be overwritten.
  const auto rest = decide({one, two}, {.primary = "", .overwrite = {"db1"}, .daemons_primary = ""});
  ASSERT_TRUE(rest) << refused(rest);
  EXPECT_EQ(rest->primary, 1U);
}

// MariaDB servers of the same server_id count alike, so a position that fits is no proof of a copy.
TEST(Decision, TakesNoMariaDbForACopyByItsPosition) {
  const auto one = with_data(bare(Flavour::mariadb, 1), "0-1-9");
  auto two = with_data(bare(Flavour::mariadb, 2), "0-1-5");
  EXPECT_FALSE(decide({one, two}, {}));
  two.mark = CopyMark{.whole = true, .donor = "db1", .event_scheduler = "OFF"};
  const auto marked = decide({one, two}, {});
  ASSERT_TRUE(marked) << refused(marked);
  EXPECT_EQ(marked->replicas.at(0).action, Action::follow);
}

// A MySQL server that has a part of the primary's transactions goes on from there, unless the primary has
// purged what comes next.
TEST(Decision, ACopyGoesOnFromWhereItIs) {
  auto one = with_data(bare(Flavour::mysql, 1), std::string(uuid1) + ":1-9");
  const auto two = with_data(bare(Flavour::mysql, 2), std::string(uuid1) + ":1-5");
  const auto decision = decide({one, two}, {});
  ASSERT_TRUE(decision) << refused(decision);
  EXPECT_EQ(decision->primary, 0U);
  EXPECT_EQ(decision->replicas.at(0).action, Action::follow);
  one.purged = gtids(Flavour::mysql, std::string(uuid1) + ":1-7");
  EXPECT_TRUE(has(refused(decide({one, two}, {})), "--overwrite db2"));
}

// Half of a copy is thrown away without asking: it is ours.
TEST(Decision, BeginsAnUnfinishedCopyAnew) {
  const auto one = with_data(bare(Flavour::mariadb, 1), "0-1-9");
  auto two = with_data(bare(Flavour::mariadb, 2), "");
  two.mark = CopyMark{.whole = false, .donor = "db1", .event_scheduler = "OFF"};
  const auto decision = decide({two, one}, {});
  ASSERT_TRUE(decision) << refused(decision);
  EXPECT_EQ(decision->primary, 1U);
  EXPECT_EQ(decision->replicas.at(0).action, Action::copy);
}

// Replication that runs is left alone, however the source's address is written.
TEST(Decision, AdoptsWhatRuns) {
  const auto one = with_data(bare(Flavour::mysql, 1), std::string(uuid1) + ":1-9");
  auto two = replica_of(with_data(bare(Flavour::mysql, 2), std::string(uuid1) + ":1-9"), one);
  two.report.replica->source.host = "dbserv1.example.com";
  const auto decision = decide({two, one}, {});
  ASSERT_TRUE(decision) << refused(decision);
  EXPECT_EQ(decision->primary, 1U);
  EXPECT_TRUE(decision->nothing_to_do());
  // The operator's word would turn it round, which is a switchover's work.
  EXPECT_FALSE(decide({two, one}, {.primary = "db2", .overwrite = {}, .daemons_primary = ""}));
}

// Three servers, one behind the other: the first is the primary, and the chain is left as it is.
TEST(Decision, AdoptsAChain) {
  const auto one = with_data(bare(Flavour::mysql, 1), std::string(uuid1) + ":1-9");
  const auto two = replica_of(with_data(bare(Flavour::mysql, 2), std::string(uuid1) + ":1-9"), one);
  auto three = replica_of(with_data(bare(Flavour::mysql, 3), std::string(uuid1) + ":1-9"), two);
  const auto decision = decide({three, two, one}, {});
  ASSERT_TRUE(decision) << refused(decision);
  EXPECT_EQ(decision->primary, 2U);
  EXPECT_TRUE(decision->nothing_to_do());
  EXPECT_TRUE(has(decision->replicas.at(0).why, "db2, a replica itself")) << decision->replicas.at(0).why;
  three.report.replica->io = core::ReplicaStatus::Io::no;
  EXPECT_TRUE(has(refused(decide({three, two, one}, {})), "which is not db1"));
}

// Broken replication is not thrown away by itself; a stopped one is started.
TEST(Decision, SaysWhatIsWrongWithAReplica) {
  const auto one = with_data(bare(Flavour::mariadb, 1), "0-1-9");
  auto two = replica_of(with_data(bare(Flavour::mariadb, 2), "0-1-9"), one);
  two.report.replica->io = core::ReplicaStatus::Io::no;
  const auto stopped = decide({one, two}, {});
  ASSERT_TRUE(stopped) << refused(stopped);
  EXPECT_EQ(stopped->replicas.at(0).action, Action::follow);
  two.report.replica->sql = false;
  two.report.replica->sql_errno = 1062;
  EXPECT_TRUE(has(refused(decide({one, two}, {})), "1062"));
  two.report.replica->sql_errno = 0;
  two.report.replica->by_gtid = false;
  EXPECT_TRUE(has(refused(decide({one, two}, {})), "MASTER_USE_GTID"));
}

// A daemon's clients are on its primary, so nobody else becomes it here.
TEST(Decision, AgreesWithTheDaemon) {
  const auto one = bare(Flavour::mariadb, 1);
  const auto two = with_data(bare(Flavour::mariadb, 2), "0-2-5");
  const auto other = decide({one, two}, {.primary = "db1", .overwrite = {"db2"}, .daemons_primary = "db2"});
  EXPECT_TRUE(has(refused(other), "switchover --to db1")) << refused(other);
  EXPECT_TRUE(
      has(refused(decide({one, two}, {.primary = "db7", .overwrite = {}, .daemons_primary = ""})), "db7"));
}

}  // namespace
}  // namespace pointsman::setup
