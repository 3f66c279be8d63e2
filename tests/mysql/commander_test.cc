#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "tests/mysql/live.h"
#include "tests/testbed/done.h"

namespace pointsman::mysql {
namespace {

using core::FailureKind;
using Io = core::ReplicaStatus::Io;

class CommanderLive : public LiveTest {
 protected:
  core::GtidSet executed(std::size_t i) {
    auto report = (*commands(i))(core::Inspect{});
    return report ? report->executed : core::GtidSet();
  }
  const char* stop_applier() const { return mariadb() ? "STOP SLAVE SQL_THREAD" : "STOP REPLICA SQL_THREAD"; }
  // Until server i has this, applied or not.
  bool receives(std::size_t i, const core::GtidSet& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    do {
      const auto now = (*commands(i))(core::Inspect{});
      if (now && now->replica && now->executed.united(now->replica->received).contains(wanted)) return true;
      std::this_thread::sleep_for(10ms);
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }
};
INSTANTIATE_TEST_SUITE_P(Products, CommanderLive, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// The source dies: what it had sent is received and applied, the receiver is stopped, and what was received
// is final.
TEST_P(CommanderLive, StopsReceivingFromADeadSource) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::off}));
  for (int i = 0; i < 20; ++i) execute(0, "INSERT INTO app.t (v) VALUES ('row')");
  const auto target = executed(0);
  PM_ASSERT_OK((*replica)(core::WaitApplied{target, patience}));
  execute(1, stop_applier());
  server(0).kill();

  const auto stopped = (*replica)(core::StopReceiving{});
  PM_ASSERT_OK(stopped);
  ASSERT_TRUE(stopped->replica);
  EXPECT_EQ(stopped->replica->io, Io::no);
  EXPECT_TRUE(stopped->replica->sql);  // was started again
  PM_EXPECT_OK((*replica)(core::WaitApplied{stopped->replica->received, patience}));
  PM_EXPECT_OK((*replica)(core::StopReceiving{}));
  const auto promoted = (*replica)(core::Promote{conf::SemiSync::off});
  PM_ASSERT_OK(promoted);
  EXPECT_FALSE(promoted->replica);
  EXPECT_FALSE(promoted->read_only);
  EXPECT_EQ(count(1), "20");
}

// The applier was stopped by somebody before the source sent its last rows and died: they are received, not
// applied, and perhaps acknowledged to clients. All of them are there after the promotion.
TEST_P(CommanderLive, WhatAStoppedApplierLeftIsKept) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::off}));
  execute(1, stop_applier());
  for (int i = 0; i < 20; ++i) execute(0, "INSERT INTO app.t (v) VALUES ('row')");
  const auto sent = executed(0);
  ASSERT_TRUE(receives(1, sent));
  server(0).kill();

  const auto stopped = (*replica)(core::StopReceiving{});
  PM_ASSERT_OK(stopped);
  EXPECT_TRUE(stopped->executed.united(stopped->replica->received).contains(sent));
  PM_ASSERT_OK((*replica)(core::WaitApplied{sent, patience}));
  PM_ASSERT_OK((*replica)(core::Promote{conf::SemiSync::off}));
  EXPECT_EQ(count(1), "20");
}

// Both threads were stopped by somebody, with a row received and not applied. MariaDB would throw that away
// when one is started, so none is, and the wait says what is missing. MySQL applies it.
TEST_P(CommanderLive, WhatAStoppedReplicaHasReceivedIsNotThrownAway) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  PM_ASSERT_OK((*replica)(core::Follow{server(0).address(), conf::SemiSync::off}));
  execute(1, stop_applier());
  execute(0, "INSERT INTO app.t (v) VALUES ('row')");
  const auto sent = executed(0);
  ASSERT_TRUE(receives(1, sent));
  execute(1, testbed::stop_replication(GetParam()));
  server(0).kill();

  PM_ASSERT_OK((*replica)(core::StopReceiving{}));
  const auto waited = (*replica)(core::WaitApplied{sent, patience});
  EXPECT_EQ(waited.has_value(), !mariadb());
  if (!waited) {
    EXPECT_NE(waited.error().text.find("the applier is stopped"), std::string::npos) << waited.error().text;
  }
  EXPECT_TRUE(receives(1, sent)) << "it is still there";
}

// StopReceiving is undone by ResumeReceiving.
TEST_P(CommanderLive, ReceivingStopsAndResumes) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  const auto stopped = (*replica)(core::StopReceiving{});
  PM_ASSERT_OK(stopped);
  EXPECT_EQ(stopped->replica->io, Io::no);
  execute(0, "INSERT INTO app.t (v) VALUES ('later')");
  for (int i = 0; i < 2; ++i) {
    const auto resumed = (*replica)(core::ResumeReceiving{});
    PM_ASSERT_OK(resumed);
    EXPECT_NE(resumed->replica->io, Io::no);
  }
  PM_EXPECT_OK((*replica)(core::WaitApplied{executed(0), patience}));
}

// A row on the replica that should not be there breaks its applier: the wait fails at once, with the server's
// words, although it may last long; and what is not applied is named. So does a wait on a server that
// replicates from nobody.
TEST_P(CommanderLive, BrokenApplierEndsTheWait) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  execute(1, set_read_only_off());
  {
    auto root = server(1).root();
    ASSERT_TRUE(root);
    ASSERT_TRUE(root->execute_all({"SET sql_log_bin = 0", "INSERT INTO app.t (id, v) VALUES (1, 'errant')"}));
  }
  execute(0, "INSERT INTO app.t (id, v) VALUES (1, 'true')");
  const auto waited = (*replica)(core::WaitApplied{executed(0), 10min});
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind, FailureKind::server_error);
  EXPECT_EQ(waited.error().server_errno, 1062U) << show(waited.error());
  EXPECT_NE(waited.error().text.find("not applied"), std::string::npos) << waited.error().text;
  // It is not started again, as it has an error.
  const auto stopped = (*replica)(core::StopReceiving{});
  PM_ASSERT_OK(stopped);
  EXPECT_FALSE(stopped->replica->sql);
  EXPECT_EQ(stopped->replica->sql_errno, 1062U);

  const auto nobody =
      (*commands(0))(core::WaitApplied{stopped->replica->received.united(executed(1)), 10min});
  EXPECT_TRUE(nobody) << show(nobody.error());  // has all of it
  execute(1, testbed::stop_replication(GetParam()));
  execute(1, mariadb() ? "RESET SLAVE ALL" : "RESET REPLICA ALL");
  const auto impossible = (*replica)(core::WaitApplied{executed(0), 10min});
  ASSERT_FALSE(impossible);
  EXPECT_EQ(impossible.error().kind, FailureKind::server_error);
}

// An applier that is held up: the wait ends by its timeout, or by abort(), and the commander works on.
TEST_P(CommanderLive, WaitEndsByTimeoutAndByAbort) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto replica = commands(1);
  auto holder = server(1).root();
  ASSERT_TRUE(holder);
  ASSERT_TRUE(holder->execute("LOCK TABLES app.t READ"));
  execute(0, "INSERT INTO app.t (v) VALUES ('held')");
  const auto target = executed(0);
  const auto late = (*replica)(core::WaitApplied{target, 300ms});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, FailureKind::timeout) << show(late.error());
  EXPECT_NE(late.error().text.find("not applied within 300 ms"), std::string::npos) << late.error().text;

  const auto id = replica->submit(core::WaitApplied{target, 10min});
  ASSERT_TRUE(eventually(
      1,
      std::string(
          "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pointsman' AND info LIKE '%") +
          (mariadb() ? "GTID_WAIT" : "WAIT_FOR_EXECUTED") + "%'",
      "1"));
  replica->commander().abort();
  const auto aborted = replica->result_of(id);
  ASSERT_TRUE(aborted);
  ASSERT_FALSE(*aborted);
  EXPECT_EQ(aborted->error().kind, FailureKind::timeout) << show(aborted->error());

  ASSERT_TRUE(holder->execute("UNLOCK TABLES"));
  PM_EXPECT_OK((*replica)(core::WaitApplied{target, patience}));
}

// A client holds a table lock: read-only does not come about in time, the failure says why, and nothing has
// changed. With end_clients the client goes, and nobody writes any more.
TEST_P(CommanderLive, ReadOnlyBlockedByALock) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  auto holder = application(0);
  ASSERT_TRUE(holder.execute("LOCK TABLES t WRITE"));
  const auto blocked = (*primary)(core::MakeReadOnly{500ms, false});
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().kind, FailureKind::timeout) << show(blocked.error());
  EXPECT_NE(blocked.error().text.find("still writable"), std::string::npos) << blocked.error().text;
  EXPECT_EQ(scalar(0, "SELECT @@global.read_only"), "0");
  EXPECT_TRUE(holder.execute("INSERT INTO t (v) VALUES ('still')"));

  const auto forced = (*primary)(core::MakeReadOnly{500ms, true});
  PM_ASSERT_OK(forced);
  EXPECT_TRUE(forced->read_only);
  EXPECT_FALSE(holder.execute("SELECT 1"));  // its session was ended
  if (!mariadb()) {
    EXPECT_EQ(scalar(0, "SELECT @@global.super_read_only"), "1");
  }
  auto client = application(0);  // and new ones are let in, to read
  EXPECT_EQ(client.execute("INSERT INTO t (v) VALUES ('no')").error().code, 1290U);
  EXPECT_TRUE(client.query("SELECT * FROM t"));
  PM_EXPECT_OK((*primary)(core::MakeReadOnly{500ms, true}));

  for (int i = 0; i < 2; ++i) {
    const auto writable = (*primary)(core::MakeWritable{conf::SemiSync::off});
    PM_ASSERT_OK(writable);
    EXPECT_FALSE(writable->read_only);
  }
  EXPECT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('again')"));
}

// Given up while it waits to make the server read-only: it does not become that later, behind the back of the
// command that follows.
TEST_P(CommanderLive, AbortedReadOnlyDoesNotHappenLater) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  auto holder = application(0);
  ASSERT_TRUE(holder.execute("LOCK TABLES t WRITE"));
  const auto id = primary->submit(core::MakeReadOnly{1min, false});
  const std::string waiting =
      "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pointsman' AND info LIKE 'SET "
      "GLOBAL%'";
  ASSERT_TRUE(eventually(0, waiting, "1"));
  primary->commander().abort();
  const auto aborted = primary->result_of(id);
  ASSERT_TRUE(aborted);
  EXPECT_EQ(aborted->error().kind, FailureKind::timeout) << show(aborted->error());
  PM_ASSERT_OK((*primary)(core::MakeWritable{conf::SemiSync::off}));
  EXPECT_EQ(scalar(0, waiting), "0");
  ASSERT_TRUE(holder.execute("UNLOCK TABLES"));
  EXPECT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('writable')"));
}

// Whoever gave it is about to end: a command that has begun comes to its end, within a second.
TEST_P(CommanderLive, WhatHasBegunIsFinished) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  auto holder = application(0);
  ASSERT_TRUE(holder.execute("LOCK TABLES t WRITE"));
  (void)primary->submit(core::MakeReadOnly{1min, false});
  ASSERT_TRUE(eventually(0,
                         "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pointsman' AND "
                         "info LIKE 'SET GLOBAL%'",
                         "1"));
  auto unlock = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(200ms);
    return holder.execute("UNLOCK TABLES").has_value();
  });
  primary.reset();
  EXPECT_EQ(scalar(0, "SELECT @@global.read_only"), "1");
  EXPECT_TRUE(unlock.get());
}

// Without end_clients, sessions stay, and a transaction that was open cannot commit.
TEST_P(CommanderLive, ReadOnlyLeavesSessionsAlone) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto client = application(0);
  ASSERT_TRUE(client.execute("BEGIN"));
  ASSERT_TRUE(client.execute("INSERT INTO t (v) VALUES ('open')"));
  const auto report = (*commands(0))(core::MakeReadOnly{});
  PM_ASSERT_OK(report);
  EXPECT_FALSE(client.execute("COMMIT"));
  EXPECT_TRUE(client.query("SELECT 1"));
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(executed(0), report->executed);
}

// The command connection is ended behind our back, and the server is restarted: the next command works all
// the same.
TEST_P(CommanderLive, BrokenConnectionIsReplaced) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  PM_ASSERT_OK((*primary)(core::Inspect{}));
  execute(0, "KILL " + scalar(0, "SELECT id FROM information_schema.processlist WHERE user = 'pointsman'"));
  ASSERT_TRUE(eventually(
      0,
      "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pointsman' AND command <> 'Killed'",
      "1"));
  PM_EXPECT_OK((*primary)(core::Inspect{}));

  server(0).kill();
  const auto refused = (*primary)(core::Inspect{});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, FailureKind::refused) << show(refused.error());
  ASSERT_TRUE(testbed::done(server(0).start()));
  // It comes back by itself, without a command.
  ASSERT_TRUE(
      eventually(0, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pointsman'", "1"));
  PM_EXPECT_OK((*primary)(core::Inspect{}));
}

// Repointed to a source with a wrong password: no failure of the command, the report says what the replica
// complains of; the password is in no text.
TEST_P(CommanderLive, FollowReportsWhyItDoesNotConnect) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto with_wrong_password = options(1);
  with_wrong_password.replication.password = "wrong'\\secret";
  Commands replica(with_wrong_password);
  execute(1, testbed::stop_replication(GetParam()));
  const auto followed = replica(core::Follow{server(0).address(), conf::SemiSync::off});
  PM_ASSERT_OK(followed);
  ASSERT_TRUE(followed->replica);
  EXPECT_NE(followed->replica->io, Io::yes);
  EXPECT_EQ(followed->replica->io_errno, 1045U) << followed->replica->io_error;
  EXPECT_EQ(followed->replica->io_error.find("secret"), std::string::npos) << followed->replica->io_error;

  // The server refuses the statement itself: no server takes a heartbeat a year.
  with_wrong_password.replication_heartbeat = 366 * 24h * 10;
  Commands other(with_wrong_password);
  const auto refused = other(core::Follow{server(0).address(), conf::SemiSync::off});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("***"), std::string::npos) << refused.error().text;
  EXPECT_EQ(refused.error().kind, FailureKind::server_error) << show(refused.error());
  EXPECT_EQ(refused.error().text.find("secret"), std::string::npos) << refused.error().text;
}

}  // namespace
}  // namespace pointsman::mysql
