#include <csignal>

#include "tests/mysql/live.h"

namespace pointsman::mysql {
namespace {

using core::FailureKind;
using Io = core::ReplicaStatus::Io;

class ProberLive : public LiveTest {};
INSTANTIATE_TEST_SUITE_P(Products, ProberLive, testing::Values(Product::mariadb, Product::mysql),
                         product_name);

// A primary and its replica, at rest: both reports are complete, and the replica is seen to hear from its
// silent source.
TEST_P(ProberLive, ReportsPrimaryAndReplica) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  execute(0, "INSERT INTO app.t (v) VALUES ('a'), ('b')");
  ASSERT_TRUE(cluster_->wait_caught_up(server(1), server(0), patience));

  ProbeWatch watch_primary(server(0).address(), monitor());
  const auto primary = watch_primary.next_report();
  ASSERT_TRUE(primary);
  EXPECT_EQ(primary->flavour, mariadb() ? core::Flavour::mariadb : core::Flavour::mysql);
  EXPECT_EQ(primary->version.find("5.5.5-"), std::string::npos);
  EXPECT_EQ(primary->server_id, server(0).server_id());
  EXPECT_EQ(primary->server_uuid.empty(), mariadb());
  EXPECT_FALSE(primary->read_only);
  EXPECT_FALSE(primary->replica);
  EXPECT_EQ(primary->sources, 0U);
  EXPECT_TRUE(primary->log_bin);
  EXPECT_TRUE(primary->log_replica_updates);
  EXPECT_TRUE(primary->gtid_on);
  EXPECT_TRUE(primary->semi_sync.available);
  EXPECT_FALSE(primary->executed.empty());
  EXPECT_EQ(primary->executed.flavour(), primary->flavour);

  ProbeWatch watch_replica(server(1).address(), monitor());
  const auto report = watch_replica.next_report();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->read_only);
  EXPECT_EQ(report->sources, 1U);
  ASSERT_TRUE(report->replica);
  EXPECT_EQ(report->replica->source, server(0).address());
  EXPECT_EQ(report->replica->source_server_id, server(0).server_id());
  EXPECT_EQ(report->replica->source_uuid, primary->server_uuid);
  EXPECT_EQ(report->replica->io, Io::yes);
  EXPECT_TRUE(report->replica->sql);
  EXPECT_TRUE(report->replica->by_gtid);
  EXPECT_EQ(report->replica->io_errno, 0U);
  EXPECT_TRUE(report->replica->lag);
  EXPECT_TRUE(report->executed.contains(primary->executed)) << report->executed.to_string();
  EXPECT_TRUE(report->executed.contains(report->replica->received));
  // MariaDB's default is one applier, MySQL's are four.
  EXPECT_EQ(report->appliers, mariadb() ? 1U : 4U);
  EXPECT_TRUE(report->keeps_commit_order);
  EXPECT_FALSE(report->takes_proxy_header);
  if (mariadb()) {
    execute(1, "SET GLOBAL proxy_protocol_networks = '127.0.0.1'");
    EXPECT_TRUE(watch_replica.next([](const auto& o) { return o && o->takes_proxy_header; }));
  }
  execute(1, mariadb() ? "STOP SLAVE SQL_THREAD" : "STOP REPLICA SQL_THREAD");
  execute(1, mariadb() ? "SET GLOBAL slave_parallel_threads = 8" : "SET GLOBAL replica_parallel_workers = 1");
  if (!mariadb()) execute(1, "SET GLOBAL replica_preserve_commit_order = OFF");
  EXPECT_TRUE(watch_replica.next([&](const auto& o) {
    return o && o->appliers == (mariadb() ? 8U : 1U) && o->keeps_commit_order == mariadb();
  }));

  // Follow sets the heartbeat that makes a silent source audible.
  auto command = commands(1);
  execute(1, testbed::stop_replication(GetParam()));
  PM_ASSERT_OK((*command)(core::Follow{server(0).address(), conf::SemiSync::off}));
  std::uint64_t before = 0;
  EXPECT_TRUE(watch_replica.next([&](const auto& o) {
    return o && o->replica && o->replica->io == Io::yes && (before = o->replica->events_received) != 0;
  }));
  EXPECT_TRUE(watch_replica.next(
      [&](const auto& o) { return o && o->replica && o->replica->events_received > before; }));
}

// mysqld is killed: its end is told by the idle connection, at once although the next probe is far away; what
// follows is refused; and when it is back, so are the reports.
TEST_P(ProberLive, CrashIsSeenAtOnce) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  ProbeWatch watch(server(0).address(), monitor(), 60s, 5s);
  ASSERT_TRUE(watch.next_report());
  server(0).kill();
  const auto lost = watch.next();
  ASSERT_TRUE(lost);
  ASSERT_FALSE(*lost);
  EXPECT_EQ(lost->error().kind, FailureKind::lost) << show(lost->error());
  // For a moment its port may still accept.
  EXPECT_FALSE(watch.failures_until(FailureKind::refused).empty());
  watch.prober().probe_now();
  EXPECT_EQ(watch.next_failure()->kind, FailureKind::refused);

  const auto started = server(0).start();
  ASSERT_TRUE(started) << started.error();
  watch.prober().probe_now();
  EXPECT_TRUE(watch.next_report());
}

// SIGTERM: whatever the connection is told first, it is no silence, and it ends in refused.
TEST_P(ProberLive, ShutdownIsNoTimeout) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  ProbeWatch watch(server(0).address(), monitor());
  ASSERT_TRUE(watch.next_report());
  ASSERT_TRUE(server(0).send(SIGTERM));
  const auto kinds = watch.failures_until(FailureKind::refused);
  ASSERT_FALSE(kinds.empty());
  for (const auto kind : kinds) EXPECT_NE(kind, FailureKind::not_mysql);
  const auto stopped = server(0).stop();
  EXPECT_TRUE(stopped) << stopped.error();
}

// A frozen server is silent: the probe ends by its timeout, and so does each reconnect; the prober ends while
// one is stuck; and a server that thaws is seen again.
TEST_P(ProberLive, FreezeIsATimeout) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  ProbeWatch watch(server(0).address(), monitor(), 50ms, 300ms);
  ASSERT_TRUE(watch.next_report());
  ASSERT_TRUE(server(0).freeze());
  for (int i = 0; i < 3; ++i) {
    const auto failure = watch.next_failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, FailureKind::timeout) << show(*failure);
  }
  ProbeWatch stuck(server(0).address(), monitor(), 50ms, 60s);
  Commands stuck_command(options(0));
  const auto id = stuck_command.submit(core::Inspect{});
  EXPECT_LT(stuck.stop(), 1200ms);
  stuck_command.commander().abort();
  const auto aborted = stuck_command.result_of(id);
  ASSERT_TRUE(aborted);
  EXPECT_EQ(aborted->error().kind, FailureKind::timeout);
  stuck_command.submit(core::Inspect{});
  EXPECT_LT(stuck_command.stop(), 1200ms);

  ASSERT_TRUE(server(0).thaw());
  EXPECT_TRUE(watch.next_report());
}

// A wrong password and a full server are answers: alive.
TEST_P(ProberLive, DeniedAndTooManyAreLife) {
  ASSERT_NO_FATAL_FAILURE(start(1, {"max_connections = 10"}));
  ProbeWatch wrong(server(0).address(), {monitor().user, "", "wrong-secret"});
  const auto denied = wrong.next_failure();
  ASSERT_TRUE(denied);
  EXPECT_EQ(denied->kind, FailureKind::denied) << show(*denied);
  EXPECT_EQ(denied->server_errno, 1045U);
  EXPECT_EQ(denied->text.find("wrong-secret"), std::string::npos) << denied->text;
  wrong.stop();

  std::vector<testbed::Sql> clients;
  while (clients.size() < 11) {
    auto client = server(0).connect(cluster_->accounts().application, "app");
    if (!client) break;
    clients.push_back(std::move(*client));
  }
  // The application's account has no right to the place that the server keeps free for administrators.
  const auto& app = cluster_->accounts().application;
  ProbeWatch full(server(0).address(), {app.user, "", app.password});
  const auto too_many = full.next_failure();
  ASSERT_TRUE(too_many);
  EXPECT_EQ(too_many->kind, FailureKind::too_many) << show(*too_many);
  // The monitor's account has.
  ProbeWatch reserved(server(0).address(), monitor());
  EXPECT_TRUE(reserved.next_report());
  // Without the privileges that the README names, the text says what is missing.
  clients.clear();
  const auto refused = full.next([](const auto& o) { return !o && o.error().kind == FailureKind::denied; });
  EXPECT_TRUE(refused) << "the application may see replication";
}

// Somebody ends our session: a new one follows at once, and the server is not called dead for it.
TEST_P(ProberLive, KilledSessionIsReplaced) {
  ASSERT_NO_FATAL_FAILURE(start(1));
  ProbeWatch watch(server(0).address(), monitor());
  ASSERT_TRUE(watch.next_report());
  execute(0, "KILL " + scalar(0, "SELECT id FROM information_schema.processlist WHERE user = 'pointsman'"));
  EXPECT_TRUE(watch.next_failure());
  const auto next = watch.next();
  ASSERT_TRUE(next);
  EXPECT_TRUE(*next) << show(next->error());
}

}  // namespace
}  // namespace pointsman::mysql
