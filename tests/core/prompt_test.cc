// Commits that wait for an acknowledgement which was lost on its way.
#include <gtest/gtest.h>

#include "tests/core/stand.h"

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;

// The replica was cut off when it had received a group of commits and before its acknowledgement was through.
// Now it is connected again and has them; all clients wait, so that nothing comes after them.
TEST(Prompt, EndsAWaitForWhatAReplicaHas) {
  Stand stand(Flavour::mariadb);
  stand.run_for(2s);
  stand.commit(12);
  stand.replicate(12);
  stand.primary.semi_sync.source_waiting = 2;
  stand.run_for(600ms);
  EXPECT_TRUE(stand.prompts.empty());  // it may be on its way
  stand.run_for(1s);
  ASSERT_EQ(stand.prompts.size(), 1U);
  EXPECT_EQ(stand.prompts[0].backend, BackendId{0});
  stand.primary.semi_sync.source_waiting = 0;
  stand.commit(13);
  stand.keep(stand.controller.step(
      CommandFinished{stand.prompts[0].id, BackendId{0}, stand.primary, stand.now - 1ms}, stand.now));
  stand.replicate(13);
  stand.run_for(10s);
  EXPECT_EQ(stand.prompts.size(), 1U);
}

// The prompt stands behind two groups that wait. Who has an agent is ended, and the replica, which has both
// groups, takes over; it goes on by itself as soon as it commits.
TEST(Prompt, ThatCannotBeWritten) {
  for (const bool agent : {false, true}) {
    Stand stand(Flavour::mariadb, agent);
    stand.run_for(2s);
    stand.commit(12);
    stand.replicate(12);
    stand.primary.semi_sync.source_waiting = 1;
    stand.run_for(4s);
    const auto& primary = stand.controller.cluster().at(BackendId{0});
    EXPECT_EQ(primary.judgement.verdict, Verdict::up);
    stand.run_for(4s);
    EXPECT_EQ(primary.judgement.verdict, agent ? Verdict::hung : Verdict::up) << primary.judgement.why;
    EXPECT_EQ(stand.controller.change() != nullptr, agent) << stand.controller.reason();
  }
  Stand slow(Flavour::mariadb, true);
  slow.run_for(2s);
  slow.primary.semi_sync.source_waiting = 1;
  slow.run_for(5s);
  slow.commit(11);
  slow.replicate(11);
  slow.run_for(4s);
  EXPECT_EQ(slow.controller.change(), nullptr) << slow.controller.reason();
}

// Somebody always waits on a busy primary, and others are answered meanwhile.
TEST(Prompt, NotWhileCommitsGoOn) {
  Stand stand(Flavour::mariadb);
  stand.primary.semi_sync.source_waiting = 3;
  for (unsigned i = 11; i < 60; ++i) {
    stand.commit(i);
    stand.replicate(i);
    stand.run_for(200ms);
  }
  EXPECT_TRUE(stand.prompts.empty());
}

// What waits for a replica that lacks it or is not there waits rightly.
TEST(Prompt, NotWhenTheReplicaLacksThem) {
  Stand behind(Flavour::mariadb);
  behind.commit(12);
  behind.primary.semi_sync.source_waiting = 2;
  behind.run_for(10s);
  EXPECT_TRUE(behind.prompts.empty());

  Stand away(Flavour::mariadb);
  away.primary.semi_sync.source_waiting = 2;
  away.replica.semi_sync.replica_active = false;
  away.replica.replica->io = ReplicaStatus::Io::connecting;
  away.run_for(10s);
  EXPECT_TRUE(away.prompts.empty());
}

// On MySQL a transaction that waits is not yet executed, so a replica that has no more than that has not got
// it; one that has more does, and is no worse a replica for that.
TEST(Prompt, OnMysqlWhenTheReplicaHasMore) {
  Stand stand(Flavour::mysql);
  stand.primary.semi_sync.source_waiting = 2;
  stand.run_for(10s);
  EXPECT_TRUE(stand.prompts.empty());
  stand.replicate(12);
  stand.run_for(2s);
  EXPECT_EQ(stand.prompts.size(), 1U);
  EXPECT_EQ(stand.controller.cluster().at(BackendId{1}).errant.to_string(), "");
}

// What it has beyond and the primary never had is not what waits.
TEST(Prompt, NotOnMysqlForErrantTransactions) {
  Stand stand(Flavour::mysql);
  const auto errant = GtidSet::parse(Flavour::mysql, "00000000-0000-0000-0000-000000000002:1-3");
  stand.replica.executed = stand.replica.executed.united(*errant);
  stand.run_for(2s);
  stand.primary.semi_sync.source_waiting = 2;
  stand.run_for(10s);
  EXPECT_TRUE(stand.prompts.empty());
}

}  // namespace
}  // namespace pointsman::core
