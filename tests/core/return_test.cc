// A server comes back, or is found where it should not be: the caretaker's work.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

void fail_over(Scenario& world) {
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U && world.core().change() == nullptr; }, 10s));
}

// --- the old primary
// --------------------------------------------------------------------------------------------

// The old primary returns, read-only as it should be: the replication direction is turned round, once.
TEST(Return, ReadOnly) {
  Scenario world;
  fail_over(world);
  EXPECT_EQ(world.core().cluster().role_of(world.view(0)), Role::fenced);
  world.start(0, true);
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_EQ(world.server(0).replication->source, world.server(1).settings.address);
  world.run_for(30s);
  EXPECT_EQ(world.records("rejoin").size(), 1U);
  EXPECT_EQ(world.commands_sent(0, "follow"), 1U);
  EXPECT_EQ(world.core().cluster().role_of(world.view(0)), Role::replica);
  EXPECT_EQ(world.routed(), 1U);  // no automatic failback
}

// It returns writable, because nobody set read_only in its configuration: that is the first thing to end.
TEST(Return, Writable) {
  Scenario world;
  fail_over(world);
  world.start(0, false);
  const Instant back = world.now();
  ASSERT_TRUE(world.run_until([&] { return world.server(0).read_only; }, 5s));
  EXPECT_LT(world.now() - back, 400ms);
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_EQ(world.records("fenced").size(), 1U);
}

// It has transactions that nobody else has: quarantined, listed exactly, remembered by the next daemon, and
// it serves nobody.
TEST(Return, WithTransactionsOfItsOwn) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; };
  options.writer = false;
  Scenario world(options);
  world.run_for(1s);
  world.write_directly(0);
  world.crash(0);  // in flight
  const auto own = world.server(0).log.count_of(1);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s));
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return world.view(0).quarantined; }, 10s));
  world.run_for(20s);
  const std::string gtid = gtids(1, own, own).to_string();
  EXPECT_EQ(world.view(0).errant.to_string(), gtid);
  EXPECT_EQ(world.last("quarantine").lost, std::vector<std::string>{gtid});
  EXPECT_EQ(world.records("quarantine").size(), 1U);
  EXPECT_EQ(world.commands_sent(0, "follow"), 0U);
  EXPECT_EQ(world.stored().quarantined, std::vector<std::string>{"db1"});
  EXPECT_EQ(world.core().cluster().role_of(world.view(0)), Role::quarantined);
  EXPECT_TRUE(any_contains(world.core().warnings(), gtid));

  const auto request = world.rejoin(0);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), gtid)) << world.answer_text(request);

  world.kill_daemon();
  world.start_daemon();
  world.run_for(5s);
  EXPECT_EQ(world.routed(), 1U);
  EXPECT_TRUE(world.view(0).quarantined);
  EXPECT_EQ(world.view(0).errant.to_string(), gtid);
  world.crash(1);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());  // it is no candidate
}

// What a failover may have lost is a guess until the old primary is back. Then it is exact: what nobody had
// reported, and is given up.
TEST(Return, WhatIsLostBecomesExact) {
  WorldOptions options;
  options.configure = [](conf::Config& c) {
    c.replication.semi_sync = conf::SemiSync::off;
    c.failover.discard = conf::Discard::always;
  };
  options.writer = false;
  Scenario world(options);
  world.run_for(1s);
  world.write_directly(0);
  world.crash(0);  // in flight
  const auto own = world.server(0).log.count_of(1);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s));
  ASSERT_TRUE(world.run_until_idle());
  const auto change = world.last("failover");
  EXPECT_TRUE(change.lost.empty()) << "nobody had seen it";
  EXPECT_EQ(change.safe, gtids(1, 1, own - 1).to_string());
  EXPECT_TRUE(contains(change.message, "nothing is known to be lost, but ")) << change.message;
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return !world.records("rejoin").empty(); }, 20s));
  EXPECT_EQ(world.last("rejoin").lost, std::vector<std::string>{gtids(1, own, own).to_string()});
  EXPECT_TRUE(contains(world.last("rejoin").message, "lost: 1 transaction that may have been"))
      << world.last("rejoin").message;
}

// It has nothing of its own, but the new primary has purged the binary logs that it would go on from. It is
// tried a few times, as an answer may be of a moment that is past, and then quarantined, in words, once; the
// operator's order gives it other data.
TEST(Return, BinaryLogsArePurged) {
  Scenario world;
  fail_over(world);
  world.server(1).purged = true;
  world.start(0, true);
  ASSERT_TRUE(world.run_until([&] { return world.view(0).quarantined; }, 20s));
  world.run_for(60s);
  EXPECT_EQ(world.commands_sent(0, "follow"), 3U);
  EXPECT_EQ(world.records("quarantine").size(), 1U);
  EXPECT_TRUE(contains(world.last("quarantine").message,
                       "db1 cannot go on as a replica of db2, which does not have the binary logs for that"))
      << world.last("quarantine").message;
  EXPECT_TRUE(
      any_contains(world.core().warnings(), "`pointsman rejoin db1 --discard` gives it a fresh copy"));
  EXPECT_EQ(world.core().cluster().role_of(world.view(0)), Role::quarantined);

  const auto again = world.rejoin(0);
  ASSERT_TRUE(world.run_until_answered(again, 40s));
  EXPECT_FALSE(world.answered_ok(again));
  EXPECT_TRUE(contains(world.answer_text(again), "error 1236")) << world.answer_text(again);
  world.run_for(10s);
  EXPECT_TRUE(world.view(0).quarantined);

  const auto discard = world.rejoin(0, true);
  ASSERT_TRUE(world.run_until_answered(discard, 40s));
  EXPECT_TRUE(world.answered_ok(discard)) << world.answer_text(discard);
  ASSERT_TRUE(world.run_until_steady(20s));
  EXPECT_EQ(world.core().cluster().role_of(world.view(0)), Role::replica);
}

// The same of a replica in its place, whose receiver has stopped for that reason: it is not only said.
TEST(Return, BinaryLogsArePurgedWhileAReplicaIsAway) {
  Scenario world;
  world.server(0).purged = true;
  world.crash(1);
  world.run_for(2s);
  world.start(1, true);
  ASSERT_TRUE(world.run_until([&] { return world.view(1).quarantined; }, 20s));
  world.server(0).purged = false;  // somebody has brought them back
  const auto again = world.rejoin(1);
  ASSERT_TRUE(world.run_until_answered(again, 40s));
  EXPECT_TRUE(world.answered_ok(again)) << world.answer_text(again);
  EXPECT_FALSE(world.view(1).quarantined);
}

// The source ends the stream without a word, as MariaDB does at a binary log that is broken: the receiver has
// no error and waits. It is said, when it has waited for longer than any heartbeat is apart.
TEST(Return, NothingComesAnyMore) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; };
  Scenario world(options);
  world.run_for(2s);
  world.cut_replication(1);
  world.run_for(20s);
  EXPECT_FALSE(any_contains(world.core().warnings(), "has received nothing"));
  world.run_for(20s);
  EXPECT_TRUE(any_contains(world.core().warnings(), "db2: is connected but has received nothing for "));
  EXPECT_TRUE(any_contains(world.core().warnings(), "`pointsman setup --overwrite db2` gives"));
  world.mend_replication(1);
  world.run_for(2s);
  EXPECT_FALSE(any_contains(world.core().warnings(), "has received nothing"));
}

// A primary that is a replica for a moment only has not waited for as long as it was watched.
TEST(Return, FormerPrimaryHasNotWaitedForLong) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; };
  Scenario world(options);
  world.run_for(60s);
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until([&] { return world.answered_ok(request); }, 10s));
  world.cut_replication(0);
  world.run_for(20s);
  EXPECT_FALSE(any_contains(world.core().warnings(), "has received nothing"));
  world.run_for(20s);
  EXPECT_TRUE(any_contains(world.core().warnings(), "db1: is connected but has received nothing for "));
}

// The same of a replica of a replica: it is left where it is, and told.
TEST(Return, BinaryLogsOfAChainedReplicasSourceArePurged) {
  WorldOptions options = servers(3);
  options.chained = 2;
  Scenario world(options);
  world.run_for(2s);
  world.server(1).purged = true;
  world.crash(2);
  world.run_for(2s);
  world.start(2, true);
  world.run_for(20s);
  EXPECT_EQ(world.commands_sent(2, "follow"), 0U);
  EXPECT_FALSE(world.view(2).quarantined);
  EXPECT_TRUE(any_contains(world.core().warnings(), "does not receive: error 1236"));
}

// Somebody let the primary replicate from its replica: it is made to end that, once, and serves on.
TEST(Return, RingIsEnded) {
  Scenario world;
  world.server(0).replication.emplace().source = world.server(1).settings.address;
  world.run_for(20s);  // longer than a primary is left alone after its semi-sync role was set
  EXPECT_FALSE(world.server(0).replication);
  EXPECT_EQ(world.commands_sent(0, "end_replication"), 1U);
  EXPECT_EQ(world.records("trouble").size(), 1U);
  EXPECT_EQ(world.routed(), 0U);
  EXPECT_FALSE(any_contains(world.core().warnings(), "the primary itself replicates"));
}

// It replicates from a server that we know nothing of, as one does whose data are being moved: that is a
// person's affair, and is only said.
TEST(Return, PrimaryReplicatesFromAStranger) {
  Scenario world;
  world.server(0).replication.emplace().source = {"192.0.2.7", 3306};
  world.run_for(20s);
  EXPECT_TRUE(world.server(0).replication);
  EXPECT_EQ(world.routed(), 0U);
  EXPECT_TRUE(any_contains(world.core().warnings(), "the primary itself replicates, from 192.0.2.7:3306"));
}

// A replica starts and replicates no more, without an error, as one does whose relay logs are gone. Nobody
// has stopped it since, so it is set up again.
TEST(Return, ReplicaIsStoppedByItsRestart) {
  Scenario world;
  world.run_for(2s);
  world.crash(1);
  world.run_for(2s);
  world.start(1, true);
  world.server(1).stop_replication();
  ASSERT_TRUE(world.run_until_steady(10s));
  world.run_for(10s);
  EXPECT_TRUE(world.server(1).replication->connected);
  EXPECT_EQ(world.commands_sent(1, "follow"), 1U);
  EXPECT_EQ(world.records("rejoin").size(), 1U);
}

// The same of one that somebody stopped: he means it, and is told how to start it.
TEST(Return, ReplicaIsStoppedByHand) {
  Scenario world;
  world.run_for(2s);
  world.server(1).stop_replication();
  world.run_for(30s);
  EXPECT_FALSE(world.server(1).replication->connected);
  EXPECT_EQ(world.commands_sent(1, "follow"), 0U);
  EXPECT_TRUE(
      any_contains(world.core().warnings(), "its replication was stopped: `pointsman rejoin db2` starts it"));
  const auto request = world.rejoin(1);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
}

// The new primary is busy when the old one returns, so that everything that the old one lacks must first be
// fetched.
TEST(Return, WhileCatchingUp) {
  WorldOptions options;
  options.write_interval = 2ms;
  options.apply_time = 1ms;
  Scenario world(options);
  fail_over(world);
  world.run_for(20s);
  world.start(0);
  ASSERT_TRUE(world.run_until_steady(30s));
  EXPECT_FALSE(world.view(0).quarantined);
}

// It returns in the middle of the failover, writable or not: the failover goes on, and it becomes a replica.
TEST(Return, DuringTheFailover) {
  for (const bool read_only : {false, true}) {
    for (const auto after : {1ms, 3ms, 6ms, 9ms, 12ms, 15ms, 40ms}) {
      Scenario world(servers(3));
      world.crash(0);
      world.run_for(after);
      world.start(0, read_only);
      EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s)) << world.core().reason();
      EXPECT_EQ(world.routed(), 1U);
    }
  }
}

// A primary that was only frozen thaws after it was replaced: the standing order finds it, and what its
// clients had in flight never reaches anybody.
TEST(Return, FrozenPrimaryThaws) {
  Scenario world;
  world.freeze(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  world.run_for(3s);
  world.thaw(0);
  EXPECT_TRUE(world.server(0).read_only);
  EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s));
}

// The failover did not come about, and then the frozen primary thaws, read-only by our own order: it is made
// writable again.
TEST(Return, OurOwnStandingOrderIsTakenBack) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.failover.catchup_timeout = 2s; };
  Scenario world(options);
  world.stop_applying(1, true);
  world.run_for(1s);
  world.freeze(0);
  ASSERT_TRUE(world.run_until([&] { return !world.records("failover").empty(); }, 20s));
  world.thaw(0);
  EXPECT_TRUE(world.server(0).read_only);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 20s)) << world.core().reason();
  EXPECT_TRUE(world.server(0).accepts_writes());
  world.stop_applying(1, false);
  EXPECT_TRUE(world.run_until_steady(20s));
}

// A primary stands still while the daemon does too, its lease runs out, and its agent gives up the order to
// make it read-only, which stays in the server's socket. The daemon is back, the lease is held again, and
// then the server comes to itself and carries that order out: it is no person's wish, and is lifted.
TEST(Return, AgentsLateOrderIsTakenBack) {
  unsigned late = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    WorldOptions options;
    options.links = {LinkKind::udp, LinkKind::serial};
    options.seed = seed;
    options.kill_hung = false;
    Scenario world(options);
    world.run_for(1s);
    world.freeze(0);
    world.stall_daemon(1400ms);
    world.run_for(2s);
    world.thaw(0);
    late += world.server(0).read_only ? 1U : 0U;
    EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U && world.server(0).accepts_writes(); }, 3s))
        << "seed " << seed << ": " << world.core().reason();
    EXPECT_TRUE(world.records("failover").empty());
  }
  EXPECT_GT(late, 0U) << "the order is not always left in the socket";
}

// --- replicas
// ---------------------------------------------------------------------------------------------------

// Somebody makes a replica writable: it is made read-only, and that is recorded.
TEST(Return, WritableReplica) {
  Scenario world(servers(3));
  world.server(2).read_only = false;
  ASSERT_TRUE(world.run_until([&] { return world.server(2).read_only; }, 2s));
  world.run_for(1s);
  EXPECT_EQ(world.records("fenced").size(), 1U);
  EXPECT_EQ(world.routed(), 0U);
}

// A replica is restarted: its replication comes back by itself, and its semi-sync role by us.
TEST(Return, RestartedReplicaAcknowledgesAgain) {
  WorldOptions options = servers(2);
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.crash(1);
  world.run_for(2s);
  world.start(1);
  ASSERT_TRUE(world.run_until([&] { return world.server(1).semi_sync_replica && world.healthy(); }, 10s));
  const auto before = world.acknowledged_by_replica().size();
  world.run_for(2s);
  EXPECT_GT(world.acknowledged_by_replica().size(), before);
}

// The primary is restarted quickly and found read-only and without its semi-sync role: both come back, each
// asked for once.
TEST(Return, RestartedPrimaryGetsItsRoleBack) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.failover.automatic = false; };
  Scenario world(options);
  const auto before = world.commands_sent(0, "make_writable");
  world.crash(0);
  world.run_for(1s);
  world.start(0, true);
  ASSERT_TRUE(world.run_until_steady(10s));
  world.run_for(60s);
  EXPECT_TRUE(world.server(0).semi_sync_source);
  EXPECT_EQ(world.commands_sent(0, "make_writable"), before + 1);
}

// A server that does not keep the semi-sync role it is given is not asked in a loop.
TEST(Return, SemiSyncIsNotAskedForInALoop) {
  Scenario world;
  const auto before = world.commands_sent(0, "make_writable");
  for (int i = 0; i < 600; ++i) {
    world.run_for(100ms);
    world.server(0).semi_sync_source = false;
  }
  EXPECT_LE(world.commands_sent(0, "make_writable") - before, 6U);
  const auto follows = world.commands_sent(1, "follow");
  for (int i = 0; i < 600; ++i) {
    world.run_for(100ms);
    world.server(1).semi_sync_replica = false;
  }
  EXPECT_LE(world.commands_sent(1, "follow") - follows, 6U);
}

// The operator changes the semi-sync mode in the configuration: the running primary is told, and at once.
TEST(Return, SemiSyncModeIsChangedOnARunningPrimary) {
  Scenario world;
  for (const auto mode : {conf::SemiSync::required, conf::SemiSync::off, conf::SemiSync::preferred}) {
    world.reconfigure([&](conf::Config& c) { c.replication.semi_sync = mode; });
    EXPECT_TRUE(world.run_until([&] { return world.server(0).semi_sync_mode == mode; }, 1s));
    EXPECT_EQ(world.server(0).semi_sync_source, mode != conf::SemiSync::off);
  }
}

// The primary crashes while an acknowledgement is on its way, its recovery sheds the transaction, and it is
// back before anybody took over: it is not made writable beside a replica that has more, but replaced by it.
// Whoever is asked first, and whatever was known before.
TEST(Return, PrimaryThatShedItsTailIsReplaced) {
  for (core::Duration away = 1ms; away < 400ms; away += 3ms) {
    for (const bool restarted_daemon : {false, true}) {
      WorldOptions options;
      options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
      options.set = [](std::vector<ModelServer>& all) {
        for (auto& server : all) server.sheds = true;
      };
      options.replication_time = 4ms;
      Scenario world(options);
      ASSERT_TRUE(world.run_until(
          [&] {
            const auto& waiting = world.server(0).waiting;
            return !waiting.empty() && world.server(1).received().contains(
                                           gtids(1, waiting.back().number, waiting.back().number));
          },
          5s));
      const auto received = world.server(1).received();
      if (restarted_daemon) world.kill_daemon();
      world.crash(0);
      world.run_for(away);
      world.start(0, true);
      ASSERT_FALSE(world.server(0).log.set().contains(received));
      if (restarted_daemon) world.start_daemon();
      const std::string what = "back after " + std::to_string(to_ms(away)) + " ms";
      ASSERT_TRUE(world.run_until([&] { return serviceable(world); }, 20s)) << what << world.core().reason();
      EXPECT_EQ(world.routed(), 1U) << what;
      EXPECT_TRUE(world.server(1).log.set().contains(received)) << what;
      EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty()) << what;
    }
  }
}

// Mode `required`: a primary restarts while its replica is down, so nobody can say whether it lost what that
// one has.
TEST(Return, RestartedPrimaryWaitsForTheReplicaThatMayHaveMore) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.crash(1);
  world.run_for(2s);
  world.crash(0);
  world.run_for(1s);
  world.start(0, true);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(any_contains(world.core().warnings(), "is not known, because that one is crashed"));
  EXPECT_TRUE(any_contains(world.core().warnings(), "`pointsman failover --to db1 --force`"));
  world.start(1);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 5s));
}

// An order to follow ends half-way, as when the server is killed in the middle of it: its replication is set
// up and stopped, by nobody's wish, and is started.
TEST(Return, HalfDoneFollowIsDoneAgain) {
  Scenario world;
  fail_over(world);
  world.spoil(0, "follow", Mishap::half);
  world.start(0);
  EXPECT_TRUE(world.run_until_steady(10s));
}

// A command of the caretaker fails again and again: the pauses grow, and the history has it once.
TEST(Return, FailingCommandIsTriedWithGrowingPauses) {
  Scenario world;
  fail_over(world);
  world.spoil(0, "follow", Mishap::refused, 1000);
  world.start(0);
  world.run_for(60s);
  const auto sent = world.commands_sent(0, "follow");
  EXPECT_GE(sent, 5U);
  EXPECT_LE(sent, 12U);
  const auto troubles = world.records("trouble");
  EXPECT_EQ(std::ranges::count_if(troubles, [](const auto& r) { return contains(r.message, "model error"); }),
            1);
  EXPECT_TRUE(any_contains(world.core().warnings(), "db1: db1: command on db1: model error") ||
              any_contains(world.core().warnings(), "model error"));
  world.spoil_nothing(0);
  EXPECT_TRUE(world.run_until_steady(20s));
}

// While such a pause lasts, the same server is found writable: that cannot wait.
TEST(Return, SecondWriterDoesNotWaitForAPause) {
  Scenario world;
  fail_over(world);
  world.spoil(0, "follow", Mishap::refused, 1000);
  world.start(0);
  world.run_for(40s);
  world.server(0).read_only = false;
  ASSERT_TRUE(world.run_until([&] { return world.server(0).read_only; }, 1s));
}

// The primary has just been asked to take the semi-sync role when it crashes and returns read-only: it does
// not wait for the pause after that request.
TEST(Return, PrimaryDoesNotWaitForASemiSyncPause) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.failover.automatic = false; };
  Scenario world(options);
  world.server(0).semi_sync_source = false;
  world.run_for(1s);
  world.crash(0);
  world.run_for(500ms);
  world.start(0, true);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 2s));
}

// A stray server, which replicates from a host that nobody knows, is repointed.
TEST(Return, StrayReplicaIsRepointed) {
  Scenario world(servers(3));
  world.server(2).follow({"192.0.2.99", 3306}, conf::SemiSync::preferred);
  ASSERT_TRUE(world.run_until(
      [&] { return world.server(2).replication->source == world.server(0).settings.address; }, 5s));
}

// A person stops a replica's replication by hand: it stays stopped, status says how to start it, and rejoin
// does.
TEST(Return, StoppedByAPersonStaysStopped) {
  Scenario world;
  world.server(1).stop_replication();
  world.run_for(10s);
  EXPECT_FALSE(world.server(1).replication->receiver_wanted);
  EXPECT_TRUE(any_contains(world.core().warnings(), "pointsman rejoin db2"));
  const auto request = world.rejoin(1);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  EXPECT_TRUE(world.run_until_steady(5s));
}

// A new, empty server without replication is not attached: its data must be copied first.
TEST(Return, EmptyServerIsNotAttached) {
  WorldOptions options = servers(3);
  options.set = [](std::vector<ModelServer>& all) {
    all[2].log = {};
    all[2].replication.reset();
  };
  Scenario world(options);
  world.run_for(5s);
  EXPECT_EQ(world.commands_sent(2, "follow"), 0U);
  const auto request = world.rejoin(2);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "copy the data")) << world.answer_text(request);
}

// A person sets the primary read-only by hand: that is meant, so nobody undoes it, sessions stay, and status
// tells.
TEST(Return, ReadOnlyByHandIsRespected) {
  Scenario world;
  world.server(0).read_only = true;
  world.run_for(10s);
  EXPECT_TRUE(world.server(0).read_only);
  EXPECT_EQ(world.routed(), 0U);
  EXPECT_TRUE(any_contains(world.core().warnings(), "read-only, and not by us"));
}

// A probe that was slow brings a report from before a promotion: it does not overwrite what the command said
// later.
TEST(Return, StaleProbesDoNotUndoWhatCommandsReported) {
  for (const auto slow : {5ms, 20ms, 100ms, 300ms}) {
    WorldOptions options = servers(3);
    options.probe_time = slow;
    Scenario world(options);
    for (int i = 0; i < 5; ++i) {
      world.run_for(1s + 37ms * i);
      const auto from = *world.routed();
      const auto request = world.switchover();
      ASSERT_TRUE(world.run_until_answered(request));
      ASSERT_TRUE(world.answered_ok(request)) << world.answer_text(request);
      ASSERT_NE(world.routed(), from);
      ASSERT_TRUE(world.run_until_steady(5s));
    }
    world.run_for(2s);
    EXPECT_TRUE(world.records("fenced").empty());
    EXPECT_TRUE(world.records("rejoin").empty());
    EXPECT_TRUE(world.records("quarantine").empty());
  }
}

// --- rejoin
// -----------------------------------------------------------------------------------------------------

// Every rejoin gets an answer, whatever the server's state, also when nothing can be found out.
TEST(Rejoin, IsAlwaysAnswered) {
  struct Case {
    const char* name;
    std::function<void(Scenario&)> arrange;
    std::size_t who;
    bool ok;
    const char* text;
  };
  const Case cases[] = {
      {"a good replica", [](Scenario&) {}, 1, true, "db2 replicates from db1"},
      {"the primary", [](Scenario&) {}, 0, false, "db1 is the primary"},
      {"a dead server", [](Scenario& w) { w.crash(1); }, 1, false, "db2 is crashed"},
      {"in maintenance", [](Scenario& w) { w.maintenance(1, true); }, 1, false, "maintenance"},
      {"without a primary",
       [](Scenario& w) {
         w.automatic(false);
         w.crash(0);
       },
       1, false, "no primary"},
      {"stopped receiver", [](Scenario& w) { w.server(1).stop_receiving(); }, 1, true,
       "db2 replicates from db1"},
      {"no replication at all", [](Scenario& w) { w.server(1).replication.reset(); }, 1, true,
       "db2 replicates from db1"},
      {"errant", [](Scenario& w) { w.write_directly(1); }, 1, false, "db1 does not have"},
      {"broken SQL thread", [](Scenario& w) { w.server(1).replication->sql_errno = 1062; }, 1, true, ""},
  };
  for (const auto& c : cases) {
    Scenario world;
    c.arrange(world);
    world.run_for(2s);
    const auto request = world.rejoin(c.who);
    ASSERT_TRUE(world.run_until_answered(request, 40s)) << c.name;
    EXPECT_EQ(world.answered_ok(request), c.ok) << c.name << ": " << world.answer_text(request);
    EXPECT_TRUE(contains(world.answer_text(request), c.text)) << c.name << ": " << world.answer_text(request);
  }
}

// An applier that was killed is started again, once in a while when that happens each time; one that an error
// in the data stopped is not, nor one beside a receiver that somebody stopped.
TEST(Replica, IsHelpedOnWhenItsApplierWasInterrupted) {
  Scenario world;
  world.run_for(2s);
  world.server(1).interrupt_applier();
  ASSERT_TRUE(world.run_until([&] { return serviceable(world); }, 5s));
  world.run_for(10ms);
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 1U);
  const auto told = [&] {
    return std::ranges::count_if(world.records("trouble"), [](const HistoryRecord& record) {
      return contains(record.message,
                      "SQL thread stopped with error 1756: model error 1756; it was started again");
    });
  };
  EXPECT_EQ(told(), 1);
  for (int i = 0; i < 100; ++i) {
    world.server(1).interrupt_applier();
    world.run_for(100ms);
  }
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 1U);
  ASSERT_TRUE(world.run_until([&] { return serviceable(world); }, 15s));
  world.run_for(10ms);
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 2U);
  EXPECT_EQ(told(), 1) << "the same again";
  world.run_for(20s);
  world.server(1).interrupt_applier();
  ASSERT_TRUE(world.run_until([&] { return serviceable(world); }, 5s));
  world.run_for(10ms);
  EXPECT_EQ(told(), 2) << "another time";
}

TEST(Replica, IsLeftAloneWhenItsDataAreWrong) {
  Scenario world;
  world.run_for(2s);
  world.server(1).replication->sql_errno = 1062;
  world.run_for(30s);
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 0U);
  EXPECT_TRUE(contains(world.view(1).trouble, "1062")) << world.view(1).trouble;
}

TEST(Replica, IsLeftAloneWhenItsReceiverWasStoppedToo) {
  Scenario world;
  world.run_for(2s);
  world.server(1).interrupt_applier();
  world.server(1).replication->receiver_wanted = world.server(1).replication->connected = false;
  world.run_for(30s);
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 0U);
  EXPECT_TRUE(contains(world.view(1).trouble, "1756")) << world.view(1).trouble;
}

// The server, or the primary, dies while rejoin waits.
TEST(Rejoin, IsAnsweredThoughAServerDies) {
  for (const std::size_t dies : {0U, 1U}) {
    for (const auto how : {Mishap::none, Mishap::hangs}) {
      Scenario world;
      world.automatic(false);
      world.server(1).replication.reset();
      world.spoil(1, "follow", how);
      const auto request = world.rejoin(1);
      world.run_for(1ms);
      world.freeze(dies);
      EXPECT_TRUE(world.run_until_answered(request, 40s));
    }
  }
}

}  // namespace
}  // namespace pointsman::sim
