#include <future>
#include <thread>

#include "tests/mysql/live.h"
#include "tests/testbed/done.h"

namespace pointsman::mysql {
namespace {

class ChangeLive : public LiveTest {
 protected:
  // A planned change of primary, each command given twice, as a daemon that was killed in the middle would.
  void change(Commands& from, Commands& to, const conf::HostPort& new_primary) {
    for (int i = 0; i < 2; ++i) {
      const auto closed = from(core::MakeReadOnly{5s, true});
      PM_ASSERT_OK(closed);
      PM_ASSERT_OK(to(core::WaitApplied{closed->executed, patience}));
    }
    for (int i = 0; i < 2; ++i) PM_ASSERT_OK(to(core::StopReceiving{}));
    for (int i = 0; i < 2; ++i) {
      const auto promoted = to(core::Promote{conf::SemiSync::preferred});
      PM_ASSERT_OK(promoted);
      EXPECT_FALSE(promoted->read_only);
      EXPECT_FALSE(promoted->replica);
      EXPECT_TRUE(promoted->semi_sync.source_enabled);
      EXPECT_FALSE(promoted->semi_sync.replica_enabled);
    }
    for (int i = 0; i < 2; ++i) PM_ASSERT_OK(to(core::EnableEvents{}));
    for (int i = 0; i < 2; ++i) {
      const auto followed = from(core::Follow{new_primary, conf::SemiSync::preferred});
      PM_ASSERT_OK(followed);
      EXPECT_TRUE(followed->read_only);
      ASSERT_TRUE(followed->replica);
      EXPECT_EQ(followed->replica->io, core::ReplicaStatus::Io::yes) << followed->replica->io_error;
      EXPECT_TRUE(followed->replica->sql) << followed->replica->sql_error;
      EXPECT_TRUE(followed->replica->by_gtid);
      EXPECT_EQ(followed->replica->source, new_primary);
      EXPECT_TRUE(followed->semi_sync.replica_enabled);
      EXPECT_FALSE(followed->semi_sync.source_enabled);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Products, ChangeLive, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// The primary changes and changes back, rows are written in each place, and all of them are on both servers.
// Scheduled events run where the primary is, under the account that defined them.
TEST_P(ChangeLive, ThereAndBack) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto first = commands(0);
  auto second = commands(1);
  const std::string event_state =
      "SELECT CONCAT(status, ' ', definer) FROM information_schema.events WHERE event_name = 'nightly`s'";
  execute(0, "CREATE DEFINER = 'app'@'%' EVENT app.`nightly``s` ON SCHEDULE EVERY 1 DAY DO SET @ran = 1");
  execute(0, "INSERT INTO app.t (v) VALUES ('1')");
  ASSERT_TRUE(cluster_->wait_caught_up(server(1), server(0), patience));
  EXPECT_NE(scalar(1, event_state), "ENABLED app@%");

  ASSERT_NO_FATAL_FAILURE(change(*first, *second, server(1).address()));
  ASSERT_TRUE(application(1).execute("INSERT INTO t (v) VALUES ('2')"));
  ASSERT_TRUE(eventually(1, event_state, "ENABLED app@%"));
  ASSERT_TRUE(cluster_->wait_caught_up(server(0), server(1), patience));
  EXPECT_NE(scalar(0, event_state), "ENABLED app@%");
  EXPECT_EQ(count(0), "2");
  // Forgotten for good, not only in the promotion's answer.
  ProbeWatch watch(server(1).address(), monitor());
  EXPECT_TRUE(watch.next([](const auto& o) { return o && !o->replica && o->sources == 0; }));

  ASSERT_NO_FATAL_FAILURE(change(*second, *first, server(0).address()));
  ASSERT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('3')"));
  ASSERT_TRUE(eventually(0, event_state, "ENABLED app@%"));
  ASSERT_TRUE(cluster_->wait_caught_up(server(1), server(0), patience));
  EXPECT_EQ(count(1), "3");
  EXPECT_EQ(application(1).execute("INSERT INTO t (v) VALUES ('no')").error().code, 1290U);
  for (const auto& warning : first->warnings()) ADD_FAILURE() << warning;
  for (const auto& warning : second->warnings()) ADD_FAILURE() << warning;
}

// Three servers; the primary is killed, one replica is promoted, the other is repointed without losing its
// readers, and the old primary returns as a replica.
TEST_P(ChangeLive, CrashRepointAndReturn) {
  ASSERT_NO_FATAL_FAILURE(start(3));
  execute(0, "INSERT INTO app.t (v) VALUES ('before')");
  for (const std::size_t i : {1U, 2U}) ASSERT_TRUE(cluster_->wait_caught_up(server(i), server(0), patience));
  auto old_primary = commands(0);
  auto candidate = commands(1);
  auto other = commands(2);
  auto reader = application(2);
  PM_ASSERT_OK((*old_primary)(core::Inspect{}));
  server(0).kill();

  PM_ASSERT_OK((*candidate)(core::StopReceiving{}));
  PM_ASSERT_OK((*candidate)(core::Promote{conf::SemiSync::preferred}));
  ASSERT_TRUE(application(1).execute("INSERT INTO t (v) VALUES ('after')"));
  const auto repointed = (*other)(core::Follow{server(1).address(), conf::SemiSync::preferred});
  PM_ASSERT_OK(repointed);
  EXPECT_EQ(repointed->replica->io, core::ReplicaStatus::Io::yes) << repointed->replica->io_error;
  EXPECT_TRUE(reader.query("SELECT 1"));

  ASSERT_TRUE(testbed::done(server(0).start()));
  const auto returned = (*old_primary)(core::Follow{server(1).address(), conf::SemiSync::preferred});
  PM_ASSERT_OK(returned);
  for (const std::size_t i : {0U, 2U}) {
    ASSERT_TRUE(cluster_->wait_caught_up(server(i), server(1), patience));
    EXPECT_EQ(count(i), "2");
  }
}

// A replica is told to follow while its applier has something left to do. It is let do that before it is
// stopped: a MariaDB that has received and not applied it would throw it away, and its source may have died
// meanwhile.
TEST_P(ChangeLive, WhatIsReceivedIsAppliedBeforeReplicationStops) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::off}));
  auto holder = server(1).root();
  ASSERT_TRUE(holder && holder->execute("LOCK TABLES app.t READ"));
  ASSERT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('late')"));
  std::this_thread::sleep_for(300ms);
  auto turned = std::async(std::launch::async, [&] {
    return (*replica)(core::Follow{server(0).address(), conf::SemiSync::required});
  });
  std::this_thread::sleep_for(300ms);
  server(0).kill();
  ASSERT_TRUE(holder->execute("UNLOCK TABLES"));
  const auto done = turned.get();
  EXPECT_EQ(count(1), "1") << (done ? "" : done.error().text);
}

// A replica has a transaction that it has not acknowledged, and is then connected as one that acknowledges:
// as one whose acknowledgement was lost when its connection broke. The commit goes when another comes after
// it.
TEST_P(ChangeLive, ACommitWhoseAcknowledgementWasLostIsLetGo) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto primary = commands(0);
  auto replica = commands(1);
  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::off}));
  PM_ASSERT_OK((*primary)(core::SetSemiSyncSource{conf::SemiSync::required, false}));
  auto client = std::async(std::launch::async, [this] {
    return application(0).execute("INSERT INTO t (v) VALUES ('waits')").has_value();
  });
  ASSERT_TRUE(eventually(1, "SELECT COUNT(*) FROM app.t", "1"));
  EXPECT_EQ(client.wait_for(500ms), std::future_status::timeout);

  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::required}));
  EXPECT_EQ(client.wait_for(1s), std::future_status::timeout);
  PM_ASSERT_OK((*primary)(core::PromptReplicas{}));
  ASSERT_EQ(client.wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(client.get());
  EXPECT_EQ(count(1), "1");
}

// An account that may not do all of it leaves nothing behind, and the next try is a whole one.
TEST_P(ChangeLive, APromptThatFailsLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  const std::string rows = "SELECT COUNT(*) FROM mysql.innodb_table_stats WHERE database_name = 'pointsman'";
  execute(0, "REVOKE DELETE ON mysql.innodb_table_stats FROM pointsman@'%'");
  for (int i = 0; i < 2; ++i) {
    const auto refused = (*primary)(core::PromptReplicas{});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().server_errno, 1142U) << refused.error().text;
    EXPECT_EQ(scalar(0, rows), "0");
  }
  execute(0, "GRANT DELETE ON mysql.innodb_table_stats TO pointsman@'%'");
  PM_ASSERT_OK((*primary)(core::PromptReplicas{}));
  EXPECT_EQ(scalar(0, rows), "0");
}

}  // namespace
}  // namespace pointsman::mysql
