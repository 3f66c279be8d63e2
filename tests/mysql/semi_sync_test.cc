#include <atomic>
#include <thread>
#include <vector>

#include "tests/mysql/live.h"

namespace pointsman::mysql {
namespace {

using conf::SemiSync;

class SemiSyncLive : public LiveTest {
 protected:
  std::string variable(std::size_t i, const std::string& mariadb_name, const std::string& mysql_name) {
    return scalar(i, "SELECT @@global.rpl_semi_sync_" + (mariadb() ? mariadb_name : mysql_name));
  }
  std::string source_enabled(std::size_t i) { return variable(i, "master_enabled", "source_enabled"); }
  std::string replica_enabled(std::size_t i) { return variable(i, "slave_enabled", "replica_enabled"); }
  std::string waits_without_replica(std::size_t i) {
    return variable(i, "master_wait_no_slave", "source_wait_no_replica");
  }
  std::string waiting_sessions() const {
    return "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for semi-sync "
           "ACK%'";
  }
};
INSTANTIATE_TEST_SUITE_P(Products, SemiSyncLive, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// The roles that each mode gives to a primary and to a replica; the replica acknowledges.
TEST_P(SemiSyncLive, RolesOfEachMode) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto primary = commands(0);
  auto replica = commands(1);
  for (const auto mode : {SemiSync::required, SemiSync::off, SemiSync::preferred}) {
    // The replica first: with required, a primary without one does not even let the table's lock go.
    const auto followed = (*replica)(core::Follow{server(0).address(), mode});
    PM_ASSERT_OK(followed);
    const auto writable = (*primary)(core::MakeWritable{mode});
    PM_ASSERT_OK(writable);
    const std::string on = mode == SemiSync::off ? "0" : "1";
    EXPECT_EQ(source_enabled(0), on);
    EXPECT_EQ(replica_enabled(0), "0");
    EXPECT_EQ(replica_enabled(1), on);
    EXPECT_EQ(source_enabled(1), "0");
    if (mode == SemiSync::off) continue;
    EXPECT_EQ(waits_without_replica(0), mode == SemiSync::required ? "1" : "0");
    EXPECT_EQ(variable(0, "master_wait_point", "source_wait_point"), "AFTER_SYNC");
    // Acknowledgements begin when the replica connects: followed says that it has.
    ProbeWatch watch(server(0).address(), monitor());
    EXPECT_TRUE(watch.next(
        [](const auto& o) { return o && o->semi_sync.source_active && o->semi_sync.source_clients == 1; }));
    ProbeWatch watch_replica(server(1).address(), monitor());
    EXPECT_TRUE(watch_replica.next([](const auto& o) { return o && o->semi_sync.replica_active; }));
    EXPECT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('acknowledged')"));
  }
}

// `preferred`, and the replica is away: a commit goes through, and the report says that commits do not wait.
TEST_P(SemiSyncLive, PreferredGoesOnAlone) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  PM_ASSERT_OK((*primary)(core::MakeWritable{SemiSync::preferred}));
  EXPECT_TRUE(application(0).execute("INSERT INTO t (v) VALUES ('alone')"));
  const auto report = (*primary)(core::Inspect{});
  PM_ASSERT_OK(report);
  EXPECT_TRUE(report->semi_sync.source_enabled);
  EXPECT_FALSE(report->semi_sync.source_active);
}

// `required`, and the replica is away, so a commit waits. The server answers probes; it cannot be made
// read-only while clients are spared; with end_clients it can, and the client never hears that its commit is
// safe.
TEST_P(SemiSyncLive, WaitingCommitIsNotAcknowledgedByTheFence) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  PM_ASSERT_OK((*primary)(core::MakeWritable{SemiSync::required}));
  auto client = application(0);
  bool acknowledged = false;
  std::thread writer(
      [&] { acknowledged = client.execute("INSERT INTO t (v) VALUES ('waits')").has_value(); });
  EXPECT_TRUE(eventually(0, waiting_sessions(), "1"));

  ProbeWatch watch(server(0).address(), monitor(), 50ms, 2s);
  const auto probe = watch.next();
  EXPECT_TRUE(probe && *probe) << show(probe->error());
  const auto blocked = (*primary)(core::MakeReadOnly{500ms, false});
  EXPECT_FALSE(blocked);
  EXPECT_EQ(scalar(0, "SELECT @@global.read_only"), "0");

  const auto fenced = (*primary)(core::MakeReadOnly{500ms, true});
  EXPECT_TRUE(fenced) << show(fenced.error());
  writer.join();
  EXPECT_FALSE(acknowledged);
  EXPECT_EQ(scalar(0, "SELECT @@global.read_only"), "1");
  if (!mariadb()) {
    EXPECT_EQ(scalar(0, "SELECT @@global.offline_mode"), "0");
  }
  EXPECT_TRUE(eventually(0, waiting_sessions(), "0"));
}

// Many commits wait together: none of their clients hears that they are safe, whichever of the sessions waits
// for all of them, and be that only about to.
TEST_P(SemiSyncLive, ManyWaitingCommitsAreNotAcknowledgedByTheFence) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  auto primary = commands(0);
  constexpr unsigned clients = 8;
  for (unsigned round = 0; round < 10; ++round) {
    PM_ASSERT_OK((*primary)(core::MakeWritable{SemiSync::required}));
    std::atomic<unsigned> acknowledged = 0;
    std::vector<std::thread> writers;
    writers.reserve(clients);
    for (unsigned i = 0; i < clients; ++i) {
      writers.emplace_back([&] {
        if (application(0).execute("INSERT INTO t (v) VALUES ('waits')")) ++acknowledged;
      });
    }
    EXPECT_TRUE(eventually(
        0, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO t %'", "8"));
    PM_EXPECT_OK(
        (*primary)(core::MakeReadOnly{.timeout = 500ms, .end_clients = true, .clients_first = true}));
    for (auto& writer : writers) writer.join();
    EXPECT_EQ(acknowledged, 0U) << "round " << round;
    if (HasFailure()) return;
  }
}

// The same when the server is turned into a replica without having been fenced before.
TEST_P(SemiSyncLive, WaitingCommitIsNotAcknowledgedByFollow) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  auto old_primary = commands(0);
  auto new_primary = commands(1);
  PM_ASSERT_OK((*new_primary)(core::StopReceiving{}));
  PM_ASSERT_OK((*old_primary)(core::MakeWritable{SemiSync::required}));
  auto client = application(0);
  bool acknowledged = false;
  std::thread writer(
      [&] { acknowledged = client.execute("INSERT INTO t (v) VALUES ('waits')").has_value(); });
  EXPECT_TRUE(eventually(0, waiting_sessions(), "1"));
  PM_EXPECT_OK((*new_primary)(core::Promote{SemiSync::required}));

  const auto followed = (*old_primary)(core::Follow{server(1).address(), SemiSync::required});
  EXPECT_TRUE(followed) << show(followed.error());
  writer.join();
  EXPECT_FALSE(acknowledged);
  EXPECT_EQ(scalar(0, "SELECT @@global.read_only"), "1");
  EXPECT_EQ(source_enabled(0), "0");
}

// Only MySQL can lack the plugins; MariaDB has them built in.
class SemiSyncPluginLive : public SemiSyncLive {};
INSTANTIATE_TEST_SUITE_P(Products, SemiSyncPluginLive, testing::Values(Product::mysql), product_name);

// An account that may not load them leaves it at that, and the report says
// so; one that may loads them under super_read_only too.
TEST_P(SemiSyncPluginLive, MissingPluginIsLoadedWhenAllowed) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  execute(0, "UNINSTALL PLUGIN rpl_semi_sync_source");
  execute(0, "UNINSTALL PLUGIN rpl_semi_sync_replica");
  auto primary = commands(0);
  const auto without = (*primary)(core::MakeWritable{SemiSync::preferred});
  PM_ASSERT_OK(without);
  EXPECT_FALSE(without->semi_sync.available);
  EXPECT_FALSE(without->read_only);

  execute(0, "GRANT INSERT ON mysql.plugin TO pointsman@'%'");
  execute(0, "SET GLOBAL super_read_only = ON");
  const auto with = (*primary)(core::MakeWritable{SemiSync::preferred});
  PM_ASSERT_OK(with);
  EXPECT_TRUE(with->semi_sync.available);
  EXPECT_TRUE(with->semi_sync.source_enabled);
  EXPECT_FALSE(with->read_only);
}

}  // namespace
}  // namespace pointsman::mysql
