// The primary fails, in all the ways that a primary can, and another takes over, or does not because it must
// not.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

WorldOptions three_servers() {
  WorldOptions options;
  options.servers = 3;
  return options;
}

WorldOptions with(const std::function<void(conf::Config&)>& configure) {
  WorldOptions options;
  options.configure = configure;
  return options;
}

// No change of primary was begun.
void expect_untouched(Scenario& world, std::uint64_t epoch, std::size_t primary = 0) {
  EXPECT_EQ(world.epoch(), epoch);
  EXPECT_TRUE(world.records("failover").empty());
  EXPECT_EQ(world.routed(), primary);
}

// --- crash
// ------------------------------------------------------------------------------------------------------

// The primary's process is killed: its connections end, reconnects are refused, and the replica takes over at
// once.
TEST(Failover, CrashWithAnEstablishedConnection) {
  Scenario world;
  ASSERT_EQ(world.routed(), 0U);
  const auto epoch = world.epoch();
  const Instant died = world.now();
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  EXPECT_LT(world.now() - died, 40ms);
  EXPECT_GT(world.epoch(), epoch);
  ASSERT_TRUE(world.run_until_idle());
  const auto record = world.last("failover");
  EXPECT_EQ(step_names(record), "detect fence choose catch_up promote route repoint");
  EXPECT_EQ(record.from, "db1");
  EXPECT_EQ(record.to, "db2");
  EXPECT_EQ(record.verdict, "crashed");
  EXPECT_TRUE(record.message.starts_with("failover db1 -> db2; ")) << record.message;
  EXPECT_FALSE(record.failed);
  ASSERT_TRUE(record.total);
  EXPECT_LT(*record.total, 40ms);
  // Its beginning was told when it began.
  const auto& all = world.records();
  const auto of_kind = [&](const char* kind) {
    return std::ranges::find(all, kind, &HistoryRecord::kind) - all.begin();
  };
  EXPECT_LT(of_kind("failover_started"), of_kind("failover"));
  const auto beginning = world.last("failover_started");
  EXPECT_EQ(beginning.from, "db1");
  EXPECT_EQ(beginning.to, "db2");
  EXPECT_EQ(beginning.verdict, "crashed");
  EXPECT_EQ(beginning.epoch, record.epoch);
  EXPECT_TRUE(beginning.message.starts_with("failover db1 -> db2 begins; db1 is crashed: "))
      << beginning.message;
  world.run_for(10ms);
  world.run_for(1s);
  EXPECT_EQ(world.stored().primary, "db2");
  EXPECT_FALSE(world.stored().change);
  EXPECT_TRUE(world.server(1).accepts_writes());
  EXPECT_FALSE(world.server(1).replication);
}

// Probes were denied, so no connection was there to end; then the process goes and every connect is refused:
// a crash after deadtime.
TEST(Failover, RefusedForDeadtimeWithoutALostConnection) {
  Scenario world(with([](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; }));
  world.server(0).sick = Failure{FailureKind::denied, 1045, "access denied"};
  world.run_for(1s);
  ASSERT_EQ(world.verdict(0), Verdict::degraded);
  world.crash(0);
  const Instant died = world.now();
  ASSERT_TRUE(world.run_until([&] { return calls_for_failover(world.verdict(0)); }, 5s));
  EXPECT_GE(world.now() - died, 990ms);
  EXPECT_LT(world.now() - died, 1500ms);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 1s));
}

// A firewall in front of the primary begins to refuse new connections, ours too, while the clients' sessions
// go on.
TEST(Failover, RefusedWhileTrafficFlowsIsNoCrash) {
  Scenario world;
  const auto epoch = world.epoch();
  world.server(0).sick = Failure{FailureKind::refused, 0, "connection refused"};
  world.run_for(10s);
  EXPECT_EQ(world.verdict(0), Verdict::degraded);
  expect_untouched(world, epoch);
}

// --- silence
// ----------------------------------------------------------------------------------------------------

// The primary stands still. It is dead exactly at deadtime and not before, and the replica takes over as soon
// as it is sure that the replica hears nothing either.
TEST(Failover, FrozenPrimaryIsDeadExactlyAtDeadtime) {
  for (const auto offset : {0ms, 37ms, 90ms, 150ms, 199ms}) {
    Scenario world;
    world.run_for(1s + offset);
    world.freeze(0);
    std::optional<Instant> dead;
    world.on_step = [&](const Event&, const Actions&) {
      if (!dead && world.verdict(0) == Verdict::dead) dead = world.now();
    };
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
    ASSERT_TRUE(dead);
    EXPECT_EQ(*dead - world.view(0).evidence.last_contact(), 1000ms);
    EXPECT_LE(world.now() - *dead, 250ms) << "frozen at offset " << offset.count();
    const auto record = world.last("failover");
    world.thaw(0);
    EXPECT_TRUE(world.run_until([&] { return world.healthy() || world.view(0).quarantined; }, 20s));
  }
}

// A pause of the primary that is shorter than deadtime (a live migration, a snapshot) changes nothing.
TEST(Failover, ShortPauseChangesNothing) {
  Scenario world;
  const auto epoch = world.epoch();
  world.freeze(0);
  world.run_for(750ms);
  world.thaw(0);
  world.run_for(5s);
  expect_untouched(world, epoch);
  EXPECT_EQ(world.verdict(0), Verdict::up);
}

// Only the daemon's host is cut off: everybody falls silent together. Nobody is promoted, and when the
// network is back the route opens in the same epoch.
TEST(Failover, IsolatedDaemonPromotesNobody) {
  for (const auto offset : {0ms, 1ms, 66ms, 133ms, 199ms}) {
    Scenario world(three_servers());
    world.run_for(1s + offset);
    const auto epoch = world.epoch();
    world.isolate();
    world.run_for(10s);
    EXPECT_FALSE(world.routed());
    EXPECT_TRUE(contains(world.core().reason(), "this proxy itself seems to be cut off"))
        << world.core().reason();
    world.mend_all();
    EXPECT_TRUE(world.run_until_steady(3s));
    expect_untouched(world, epoch);
  }
}

// The same with a primary that answers probes slowly: its last answer is then much older than the replica's.
TEST(Failover, IsolatedDaemonPromotesNobodyThoughThePrimaryWasSlow) {
  for (const auto offset : {0ms, 50ms, 100ms, 150ms, 250ms, 350ms, 450ms, 550ms, 650ms}) {
    Scenario world(with([](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; }));
    world.slow_probes(0, 480ms);
    world.run_for(3s + offset);
    const auto epoch = world.epoch();
    world.isolate();
    world.run_for(650ms);
    world.mend_all();
    world.run_for(5s);
    expect_untouched(world, epoch);
  }
}

// The cable between the daemon and the primary is cut, and both still reach the replica. The primary serves
// nobody new, but it lives, nobody can fence it, and the replica says so. When the primary then really dies,
// the replica takes over.
TEST(Failover, ReplicaThatStillReceivesIsAVetoUntilItDoesNot) {
  for (const auto offset : {0ms, 50ms, 100ms, 150ms}) {
    Scenario world;
    world.run_for(1s + offset);
    const auto epoch = world.epoch();
    world.cut(0);
    world.run_for(20s);
    EXPECT_EQ(world.epoch(), epoch);
    EXPECT_TRUE(world.records("failover").empty());
    EXPECT_TRUE(contains(world.core().reason(), "db2 still receives from db1")) << world.core().reason();
    world.freeze(0);
    EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s));
  }
}

// --- not well, but alive
// ----------------------------------------------------------------------------------------

// The primary answers with errors that prove life: never a failover, and the route stays.
TEST(Failover, ErrorsThatProveLifeNeverFailOver) {
  for (const auto kind :
       {FailureKind::denied, FailureKind::too_many, FailureKind::not_mysql, FailureKind::server_error}) {
    WorldOptions options;
    options.writer = false;  // no traffic that would prove life as well
    Scenario world(options);
    const auto epoch = world.epoch();
    world.server(0).sick = Failure{kind, 0, "an error"};
    world.run_for(30s);
    EXPECT_EQ(world.verdict(0), Verdict::degraded) << to_string(kind);
    EXPECT_TRUE(any_contains(world.core().warnings(), "the primary db1 is degraded")) << to_string(kind);
    expect_untouched(world, epoch);
  }
}

// The monitoring user's probes time out (a lock, a full thread pool) while clients get answers.
TEST(Failover, TrafficOutranksSilentProbes) {
  Scenario world;
  const auto epoch = world.epoch();
  world.slow_probes(0, 2s);
  world.run_for(20s);
  expect_untouched(world, epoch);
}

// The daemon itself does not run for seconds, its loop alone or the whole process: nobody is declared dead
// for it.
TEST(Failover, OwnStallIsNobodysDeath) {
  for (const auto stall : {400ms, 1100ms, 2900ms, 8000ms}) {
    Scenario world(three_servers());
    const auto epoch = world.epoch();
    world.stall_daemon(stall);
    world.run_for(stall + 3s);
    expect_untouched(world, epoch);
    world.suspend_daemon(stall);
    world.run_for(stall + 3s);
    expect_untouched(world, epoch);
    EXPECT_TRUE(world.records("verdict").empty());
  }
}

// The primary crashes and is restarted by its supervisor while the daemon stands still. What the daemon then
// finds in its queue is history, and the newest word is that the primary serves.
TEST(Failover, WhatWasLearntDuringAStallIsNotActedUpon) {
  Scenario world;
  const auto epoch = world.epoch();
  world.stall_daemon(3s);
  world.run_for(500ms);
  world.crash(0);
  world.run_for(1s);
  world.start(0, false);
  world.run_for(5s);
  expect_untouched(world, epoch);
}

// --- who takes over
// ---------------------------------------------------------------------------------------------

// Three replicas: the one that has received most wins, wherever it stands in the configuration.
TEST(Failover, MostReceivedWins) {
  for (std::size_t best = 1; best < 4; ++best) {
    WorldOptions options;
    options.servers = 4;
    options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; };
    options.writer = false;
    Scenario world(options);
    for (std::size_t i = 1; i < 4; ++i) {
      if (i != best) world.cut_replication(i);
    }
    world.write_directly(0);
    world.run_for(50ms);
    world.crash(0);
    ASSERT_TRUE(world.run_until([&] { return world.routed().has_value() && world.routed() != 0U; }, 10s));
    EXPECT_EQ(world.routed(), best);
    EXPECT_TRUE(world.run_until_idle());
  }
}

// Nobody is ahead: the order of the configuration decides.
TEST(Failover, TiesGoToTheOrderOfTheConfiguration) {
  WorldOptions options;
  options.servers = 4;
  options.writer = false;
  Scenario world(options);
  world.crash(0);
  ASSERT_TRUE(world.run_until_idle(5s));
  EXPECT_EQ(world.routed(), 1U);
}

struct Unfit {
  const char* name;
  std::function<void(Scenario&, std::size_t)> make;
  const char* why;
};

// A server with a fault of its own is passed over, and the record says why.
TEST(Failover, UnfitServersArePassedOver) {
  const Unfit unfit[] = {
      {"maintenance", [](Scenario& w, std::size_t i) { w.maintenance(i, true); }, "in maintenance"},
      {"errant", [](Scenario& w, std::size_t i) { w.write_directly(i); },
       "has transactions that the primary never had"},
      {"no binary log", [](Scenario& w, std::size_t i) { w.server(i).log_bin = false; },
       "writes no binary log"},
      {"no log of updates", [](Scenario& w, std::size_t i) { w.server(i).log_replica_updates = false; },
       "log_slave_updates"},
      {"broken applier", [](Scenario& w, std::size_t i) { w.server(i).replication->sql_errno = 1062; },
       "SQL thread stopped"},
      {"not by GTID", [](Scenario& w, std::size_t i) { w.server(i).by_gtid = false; },
       "does not replicate by GTID"},
      {"several sources", [](Scenario& w, std::size_t i) { w.server(i).extra_channels = 1; },
       "several sources"},
      {"down", [](Scenario& w, std::size_t i) { w.crash(i); }, "crashed"},
      {"denied",
       [](Scenario& w, std::size_t i) { w.server(i).sick = Failure{FailureKind::denied, 1045, "denied"}; },
       "degraded"},
  };
  for (const auto& fault : unfit) {
    Scenario world(three_servers());
    fault.make(world, 1);
    world.run_for(2s);
    world.crash(0);
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 2U; }, 5s))
        << fault.name << ": " << world.core().reason();
    ASSERT_TRUE(world.run_until_idle());
    const auto record = world.last("failover");
    ASSERT_GE(record.steps.size(), 3U);
    EXPECT_TRUE(contains(record.steps[2].note, fault.why)) << fault.name << ": " << record.steps[2].note;
  }
}

// Nobody is fit: no failover, the reason lists everybody, and it is recorded once.
TEST(Failover, NobodyIsFit) {
  Scenario world(three_servers());
  world.maintenance(1, true);
  world.server(2).replication->sql_errno = 1062;
  world.run_for(1s);
  world.crash(0);
  world.run_for(30s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(
      contains(world.core().reason(), "db2: in maintenance; db3: its SQL thread stopped with error 1062"))
      << world.core().reason();
  EXPECT_EQ(world.records("refused").size(), 1U);
}

// --- catch up
// ---------------------------------------------------------------------------------------------------

// The replica has received more than it has applied: it is promoted only when it has applied all.
TEST(Failover, CatchesUpBeforeItIsPromoted) {
  Scenario world;
  world.stop_applying(1, true);
  world.run_for(2s);
  ASSERT_FALSE(world.server(1).replication->relay.empty());
  world.crash(0);
  world.run_for(2s);
  ASSERT_NE(world.core().change(), nullptr);
  EXPECT_EQ(world.core().change()->step(), Change::Step::catch_up);
  EXPECT_EQ(world.core().state(), State::failing_over);
  EXPECT_EQ(world.commands_sent(1, "promote"), 0U);
  world.stop_applying(1, false);
  ASSERT_TRUE(world.run_until_idle(5s));
  EXPECT_EQ(world.routed(), 1U);
  EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
}

// Its applier was killed just before: nothing is wrong with its data, so it is started and catches up.
TEST(Failover, AnInterruptedApplierIsStartedToCatchUp) {
  Scenario world;
  world.run_for(2s);
  world.server(1).interrupt_applier();
  ASSERT_TRUE(world.run_until([&] { return !world.server(1).replication->relay.empty(); }, 1s));
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s)) << world.core().reason();
  EXPECT_EQ(world.commands_sent(1, "start_applier"), 0U) << "before the failover";
  EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
}

// It does not catch up in time: the failover fails, the replica goes on receiving, and it is tried again with
// growing pauses.
TEST(Failover, CatchUpTimesOutAndIsTriedAgain) {
  Scenario world(with([](conf::Config& c) { c.failover.catchup_timeout = 3s; }));
  world.stop_applying(1, true);
  world.run_for(2s);
  const auto epoch = world.epoch();
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return !world.records("failover").empty(); }, 10s));
  EXPECT_TRUE(world.last("failover").failed);
  EXPECT_TRUE(contains(world.last("failover").message, "catch_up")) << world.last("failover").message;
  ASSERT_TRUE(world.run_until([&] { return world.server(1).replication->receiver_wanted; }, 500ms));
  world.run_for(40s);
  EXPECT_GT(world.epoch(), epoch + 2);
  EXPECT_LT(world.records("failover").size(), 10U);
  world.stop_applying(1, false);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 20s));
}

// Another replica has as much: it takes over instead of the one that does not catch up, and gives that as the
// reason; whichever has received more is asked again, however often it has failed.
TEST(Failover, AnotherThatHasAsMuchIsTriedNext) {
  auto options = three_servers();
  options.configure = [](conf::Config& c) { c.failover.catchup_timeout = 3s; };
  Scenario world(options);
  world.stop_applying(1, true);
  world.run_for(2s);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 2U; }, 8s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(2, world.acknowledged_by_replica()).empty());
  ASSERT_TRUE(world.run_until([&] { return world.records("failover").size() == 2; }, 20s));
  EXPECT_TRUE(world.records("failover").front().failed);
  bool told = false;
  for (const auto& step : world.last("failover").steps)
    told = told || contains(step.note, "not db2 (has received as much as db3, and did not catch up");
  EXPECT_TRUE(told);
  world.stop_applying(1, false);
  world.start(0);
  EXPECT_TRUE(world.run_until([&] { return world.healthy(); }, 60s));
}

TEST(Failover, OneThatHasMoreIsTriedAgain) {
  auto options = three_servers();
  options.configure = [](conf::Config& c) { c.failover.catchup_timeout = 3s; };
  Scenario world(options);
  world.cut_replication(2);
  world.run_for(1s);
  world.stop_applying(1, true);
  world.run_for(2s);
  world.crash(0);
  world.run_for(20s);
  EXPECT_GT(world.records("failover").size(), 2U);
  EXPECT_FALSE(world.routed().has_value());
  world.stop_applying(1, false);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 20s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
}

// --- steps that fail
// --------------------------------------------------------------------------------------------

// Whatever command of a failover goes wrong in whatever way, once, in the end the replica serves, and never
// two do.
TEST(Failover, EveryCommandMayFailOnce) {
  for (const char* command : {"stop_receiving", "wait_applied", "promote"}) {
    for (const auto how : {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs}) {
      WorldOptions options;
      options.apply_time = 30ms;  // so that there is something to wait for
      Scenario world(options);
      world.spoil(1, command, how);
      world.run_for(1s);
      world.crash(0);
      EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 60s))
          << command << " " << static_cast<int>(how) << ": " << world.core().reason();
      EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
      world.start(0);
      EXPECT_TRUE(world.run_until([&] { return world.healthy() || world.view(0).quarantined; }, 60s))
          << command;
    }
  }
}

// The same, and the old primary returns while the failover is stuck: writable, or read-only as it should.
TEST(Failover, EveryCommandMayFailWhileTheOldPrimaryReturns) {
  for (const char* command : {"stop_receiving", "wait_applied", "promote"}) {
    for (const auto how : {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs}) {
      for (const bool read_only : {false, true}) {
        WorldOptions options;
        options.apply_time = 30ms;
        Scenario world(options);
        world.spoil(1, command, how, 3);
        world.run_for(1s);
        world.crash(0);
        world.run_for(300ms);
        world.start(0, read_only);
        EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 90s))
            << command << " " << static_cast<int>(how) << ": " << world.core().reason();
      }
    }
  }
}

// The candidate dies too, at every moment of the failover; another replica takes over, or the first when it
// comes back.
TEST(Failover, CandidateDiesAtEachMoment) {
  for (const std::size_t servers : {2U, 3U}) {
    for (const Duration moment : std::vector<Duration>{100us, 2ms, 5ms, 6ms, 7ms, 8ms, 9ms, 10ms, 11ms, 12ms,
                                                       14ms, 20ms, 40ms, 100ms}) {
      for (const bool power : {false, true}) {
        WorldOptions options;
        options.servers = servers;
        Scenario world(options);
        world.crash(0);
        world.run_for(moment);
        power ? world.power_off(1) : world.crash(1);
        world.run_for(5s);
        world.start(1);
        // Unless it had applied all, it may have lost what it had acknowledged.
        EXPECT_TRUE(world.run_until([&] { return world.routed().has_value(); }, 10s) ||
                    contains(world.core().reason(), "has thrown away"))
            << world.core().reason();
        world.start(0);
        EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 60s)) << world.core().reason();
      }
    }
  }
}

// The promotion was begun on a server that then died half-way, its replication forgotten. When it is back it
// is still the one that may be promoted.
TEST(Failover, HalfPromotedCandidateIsPromotedLater) {
  Scenario world;
  world.spoil(1, "promote", Mishap::half);
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s)) << world.core().reason();
}

// The primary and the candidate die together, and the third server, which lacks transactions that were
// acknowledged, is not promoted silently.
TEST(Failover, SemiSyncCountsOnlyWhenAllAreAsked) {
  WorldOptions options = three_servers();
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.cut_replication(2);
  world.run_for(2s);  // db2 alone acknowledges
  world.crash(0);
  world.power_off(1);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 may have acknowledged") ||
              contains(world.core().reason(), "db3 is behind"))
      << world.core().reason();
  // It comes back without what it had received and not applied.
  world.start(1);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 was started")) << world.core().reason();
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed().has_value(); }, 10s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
}

// A replica that is killed throws away what it had received, acknowledged and not applied, and fetches it
// again. From a primary that stands still it cannot.
TEST(Failover, AReplicaThatWasRestartedHasNotWhatItAcknowledged) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.run_for(2s);
  world.stop_applying(1, true);
  world.run_for(500ms);
  ASSERT_FALSE(world.server(1).replication->relay.empty());
  world.freeze(0);
  world.run_for(100ms);
  world.crash(1);
  world.run_for(100ms);
  world.stop_applying(1, false);
  world.start(1);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 is behind") ||
              contains(world.core().reason(), "db2 was started"))
      << world.core().reason();
  world.thaw(0);
  ASSERT_TRUE(world.run_until_steady(10s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
}

// As soon as it has caught up with the primary again, it may take over.
TEST(Failover, AReplicaThatWasRestartedAndCaughtUpTakesOver) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.run_for(2s);
  world.crash(1);
  world.run_for(100ms);
  world.start(1);
  ASSERT_TRUE(world.run_until_steady(10s));
  world.run_for(1s);
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
}

// A replica that is unfit, but up, has received what the candidate has not: its word is enough to know that
// something would be lost.
TEST(Failover, WhatAnUnfitReplicaHasWouldBeLost) {
  WorldOptions options = three_servers();
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.cut_replication(2);
  world.run_for(1s);
  world.server(1).replication->sql_errno = 1062;
  world.run_for(1s);
  world.crash(0);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db3 is behind")) << world.core().reason();
  const auto request = world.failover(2, true);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  EXPECT_FALSE(world.last("failover").lost.empty());
}

// --- durable state
// ----------------------------------------------------------------------------------------------

// The disk is full: no promotion without a durable epoch. The reason says so; when there is room again, the
// failover happens.
TEST(Failover, NothingIsPromotedWhileTheStateCannotBeStored) {
  Scenario world;
  world.spoil_store("No space left on device");
  world.crash(0);
  world.run_for(20s);
  EXPECT_FALSE(world.routed());
  EXPECT_EQ(world.commands_sent(1, "promote"), 0U);
  EXPECT_TRUE(contains(world.core().reason(), "No space left on device")) << world.core().reason();
  EXPECT_TRUE(any_contains(world.core().warnings(), "the state cannot be stored")) << world.core().reason();
  EXPECT_LE(world.records("failover").size(), 2U);
  world.spoil_store("");
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
}

// The disk is only slow: the promotion waits for it.
TEST(Failover, WaitsForASlowDisk) {
  WorldOptions options;
  options.store_time = 2s;
  Scenario world(options);
  world.run_for(5s);
  world.crash(0);
  world.run_for(1900ms);
  EXPECT_EQ(world.commands_sent(1, "promote"), 0U);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 1s));
}

// The workers do not confirm the closed route: no promotion while a session may still write on the old
// primary.
TEST(Failover, WaitsForTheClosedRoute) {
  Scenario world;
  world.hold_routes(true);
  world.crash(0);
  world.run_for(9s);
  EXPECT_EQ(world.commands_sent(1, "promote"), 0U);
  ASSERT_NE(world.core().change(), nullptr);
  EXPECT_EQ(world.core().change()->step(), Change::Step::promote);
  world.run_for(3s);
  ASSERT_FALSE(world.records("failover").empty());
  EXPECT_TRUE(world.records("failover").front().failed);
  world.hold_routes(false);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 20s));
}

// --- fence.command
// ----------------------------------------------------------------------------------------------

// A silent primary is powered off by the operator's program before another is promoted; while that fails,
// nobody is.
TEST(Failover, FenceCommandDecidesOverASilentPrimary) {
  Scenario world(with([](conf::Config& c) { c.fence.command = {"/usr/sbin/fence_ipmilan"}; }));
  world.fence_command_fails(true);
  world.freeze(0);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "fence.command failed")) << world.core().reason();
  world.fence_command_fails(false);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 20s));
  EXPECT_EQ(world.server(0).power, ModelServer::Power::off);
}

// --- three servers
// ----------------------------------------------------------------------------------------------

// The others follow the new primary.
TEST(Failover, RepointsTheOthers) {
  WorldOptions options;
  options.servers = 4;
  Scenario world(options);
  world.crash(0);
  ASSERT_TRUE(world.run_until_idle(5s));
  world.run_for(1s);
  for (const std::size_t i : {2U, 3U}) {
    ASSERT_TRUE(world.server(i).replication);
    EXPECT_EQ(world.server(i).replication->source, world.server(1).settings.address);
    EXPECT_TRUE(world.server(i).replication->connected);
  }
  EXPECT_TRUE(world.last("failover").lost.empty());
}

// One of the others stands still during the failover: it is not waited for longer than its own deadtime, and
// follows when it is back.
TEST(Failover, AHungThirdServerDelaysLittle) {
  Scenario world(three_servers());
  world.freeze(2);
  world.run_for(100ms);
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 1200ms)) << world.core().reason();
  world.run_for(20s);
  world.thaw(2);
  world.start(0);
  EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s)) << world.core().reason();
}

// The new primary crashes while the others are being repointed: the next failover does not wait for them.
TEST(Failover, NewPrimaryDiesWhileTheOthersAreRepointed) {
  Scenario world(three_servers());
  world.spoil(2, "follow", Mishap::hangs);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  world.run_for(300ms);
  ASSERT_NE(world.core().change(), nullptr);
  world.crash(1);
  world.run_for(1s);
  EXPECT_EQ(world.core().change(), nullptr);
  EXPECT_FALSE(world.routed());
  world.start(1);
  EXPECT_TRUE(world.run_until([&] { return world.routed().has_value(); }, 10s)) << world.core().reason();
}

}  // namespace
}  // namespace pointsman::sim
