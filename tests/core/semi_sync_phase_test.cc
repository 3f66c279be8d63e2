// Whether commits wait for a replica, since when they do not, and what follows for whoever takes over.
#include "health/core/semi_sync_phase.h"

#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;
using News = SemiSyncPhase::News;

GtidSet upto(unsigned n) {
  return *GtidSet::parse(Flavour::mariadb, "0-1-" + std::to_string(n));
}

class Phase : public testing::Test {
 protected:
  Phase() {
    phase_.begin("db1");
    report_.semi_sync = {.available = true, .source_enabled = true};
  }

  News primary(bool waits, unsigned executed, conf::SemiSync mode = conf::SemiSync::preferred) {
    report_.semi_sync.source_active = waits;
    report_.executed = upto(executed);
    const Instant started = now_ += 199ms;
    now_ += 1ms;
    return phase_.on_primary({report_, started, now_, mode, to_ms(now_.time_since_epoch())});
  }
  News replica(unsigned holdings) { return phase_.on_replica(upto(holdings)); }

  SemiSyncPhase phase_;
  ServerReport report_;
  Instant now_{};
};

// The replica goes away, the primary goes on alone, the replica comes back and catches up.
TEST_F(Phase, FromWaitingToAloneAndBack) {
  EXPECT_EQ(primary(true, 10), News::none);
  EXPECT_EQ(phase_.state(), SemiSyncState::waits);
  EXPECT_EQ(primary(false, 20), News::began);
  EXPECT_EQ(phase_.state(), SemiSyncState::degraded);
  EXPECT_EQ(*phase_.mark(), (Degraded{"db1", upto(10), upto(20), 400}));
  EXPECT_EQ(primary(false, 30), News::none);
  phase_.on_heard(upto(33));
  EXPECT_EQ(phase_.mark()->known, upto(33));

  EXPECT_EQ(primary(true, 40), News::none);
  EXPECT_EQ(phase_.state(), SemiSyncState::catching_up);
  EXPECT_EQ(replica(40), News::none) << "what was answered alone may not be in that report yet";
  EXPECT_EQ(primary(true, 50), News::none);
  EXPECT_EQ(primary(true, 60), News::none);
  phase_.on_heard(upto(65));
  EXPECT_EQ(phase_.mark()->known, upto(50)) << "what is committed now waits";
  EXPECT_EQ(replica(49), News::none);
  EXPECT_EQ(replica(50), News::ended);
  EXPECT_EQ(phase_.state(), SemiSyncState::waits);
  EXPECT_FALSE(phase_.mark());
}

// The replica is gone again before it has caught up: it is the same phase, and it has not been left.
TEST_F(Phase, AloneAgainWhileCatchingUp) {
  primary(true, 10);
  primary(false, 20);
  primary(true, 30);
  primary(true, 40);
  EXPECT_EQ(primary(false, 50), News::none);
  EXPECT_EQ(phase_.mark()->since, upto(10));
  EXPECT_EQ(phase_.mark()->known, upto(50));
  EXPECT_EQ(replica(100), News::none);
}

// The primary crashes meanwhile and comes back with less than it had answered: nobody can catch up with what
// is gone.
TEST_F(Phase, WhatACrashTookIsNotWaitedFor) {
  primary(true, 10);
  primary(false, 20);
  primary(true, 30);
  primary(true, 40);
  primary(true, 25);
  EXPECT_EQ(phase_.mark()->known, upto(25));
  EXPECT_EQ(replica(25), News::ended);
}

// At a start the roles are set one after the other: no entry in the history, unless it lasts.
TEST_F(Phase, ShortAloneAtAStartIsNoNews) {
  primary(false, 10);
  primary(true, 20);
  primary(true, 30);
  EXPECT_TRUE(phase_.mark());
  EXPECT_EQ(replica(30), News::none);
  EXPECT_EQ(phase_.state(), SemiSyncState::waits);

  phase_.begin("db1", upto(7));
  News news = News::none;
  unsigned reports = 0;
  for (; news == News::none && reports < 20; ++reports) news = primary(false, 10 + reports);
  EXPECT_EQ(news, News::began);
  EXPECT_EQ(reports, 6U);
  EXPECT_EQ(phase_.mark()->since, upto(7)) << "what it had when it became the primary";
}

// Who asked for no semi-sync, or for one that the server does not have, was promised nothing. `required` is a
// promise.
TEST_F(Phase, NotWantedAndImpossible) {
  primary(false, 10, conf::SemiSync::off);
  EXPECT_EQ(phase_.state(), SemiSyncState::off);
  EXPECT_FALSE(phase_.mark());
  report_.semi_sync = {};
  primary(false, 20);
  EXPECT_EQ(phase_.state(), SemiSyncState::off);
  primary(false, 30, conf::SemiSync::required);
  EXPECT_EQ(phase_.state(), SemiSyncState::degraded);
  primary(false, 40, conf::SemiSync::off);
  EXPECT_FALSE(phase_.mark());
}

// What an earlier daemon left goes on, and ends as any other.
TEST_F(Phase, Resumed) {
  const Degraded left{"db1", upto(10), upto(20), 5};
  phase_.resume(left);
  EXPECT_EQ(*phase_.mark(), left);
  EXPECT_EQ(primary(false, 25), News::none) << "that it began was told";
  EXPECT_EQ(*phase_.mark(), (Degraded{"db1", upto(10), upto(25), 5}));
  primary(true, 30);
  primary(true, 31);
  EXPECT_EQ(replica(31), News::ended);
}

// --- in a whole world

// The replica is stopped and the primary goes on without it, until `writes` more are there.
void degrade(Scenario& world, unsigned writes = 20) {
  ASSERT_TRUE(world.run_until([&] { return world.core().semi_sync().state() == SemiSyncState::waits; }, 5s));
  world.server(1).stop_receiving();
  ASSERT_TRUE(
      world.run_until([&] { return world.core().semi_sync().state() == SemiSyncState::degraded; }, 10s));
  const auto before = world.server(0).log.count_of(1);
  ASSERT_TRUE(world.run_until([&] { return world.server(0).log.count_of(1) >= before + writes; }, 10s));
  world.run_for(1500ms);
}

// It is told with its position, counted, and durable; and told again when it is over.
TEST(SemiSync, DegradationIsToldCountedAndEnds) {
  Scenario world;
  degrade(world);
  const auto record = world.last("degraded");
  ASSERT_EQ(world.records("degraded").size(), 1U);
  EXPECT_TRUE(contains(record.message, "db1 answers commits without a replica since ")) << record.message;
  ASSERT_TRUE(world.core().semi_sync().mark());
  const Degraded mark = *world.core().semi_sync().mark();
  EXPECT_EQ(record.gtid, mark.since.to_string());
  EXPECT_GE(world.core().at_stake().count(), 20U);
  EXPECT_EQ(world.core().at_stake(), mark.known.minus(world.server(1).log.set()));
  ASSERT_TRUE(world.stored().degraded);
  EXPECT_EQ(world.stored().degraded->since, mark.since);
  EXPECT_GE(world.stored().degraded->known.minus(mark.since).count(), 20U);
  EXPECT_TRUE(any_contains(world.core().warnings(), "db1 answers commits without a replica since "));
  const auto explained = world.core().explain(world.now());
  EXPECT_GE(explained.at_stake, 20U);
  ASSERT_FALSE(explained.vetoes.empty());
  EXPECT_TRUE(contains(explained.vetoes[0], "db2 is behind")) << explained.vetoes[0];
  EXPECT_TRUE(contains(explained.vetoes[0], "commits were answered without a replica since "));

  world.server(1).resume_receiving();
  ASSERT_TRUE(world.run_until([&] { return !world.records("restored").empty(); }, 10s));
  EXPECT_EQ(world.core().semi_sync().state(), SemiSyncState::waits);
  EXPECT_TRUE(world.core().at_stake().empty());
  EXPECT_TRUE(contains(world.last("restored").message, "db2 has all up to "))
      << world.last("restored").message;
  ASSERT_TRUE(world.run_until([&] { return !world.stored().degraded; }, 2s));
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s)) << world.core().reason();
}

// The daemon is killed while the primary is alone, and the primary dies before another daemon is there, which
// has never seen it: it must know all the same, and say how many are at stake.
TEST(SemiSync, ADaemonThatIsStartedAfterTheCrashKnows) {
  for (const bool allowed : {false, true}) {
    WorldOptions options;
    options.configure = [&](conf::Config& c) { c.failover.allow_loss = allowed; };
    Scenario world(options);
    degrade(world);
    const Degraded mark = *world.core().semi_sync().mark();
    world.kill_daemon();
    world.run_for(500ms);
    world.crash(0);
    world.server(1).resume_receiving();
    world.start_daemon();
    world.run_for(10s);
    if (allowed) {
      EXPECT_EQ(world.routed(), 1U) << world.core().reason();
      EXPECT_FALSE(world.last("failover").lost.empty());
      EXPECT_TRUE(world.run_until(
          [&] { return !world.stored().degraded || world.stored().degraded->primary == "db2"; }));
      continue;
    }
    EXPECT_FALSE(world.routed());
    const std::string reason = world.core().reason();
    const auto lacks = world.stored().degraded->known.minus(world.server(1).log.set()).count();
    EXPECT_GE(lacks, 20U);
    EXPECT_TRUE(contains(reason, "db2 is behind: it never received " + std::to_string(lacks))) << reason;
    EXPECT_TRUE(contains(reason, "answered without a replica since " + mark.since.to_string())) << reason;
    EXPECT_EQ(world.core().at_stake().count(), lacks);

    // The primary is mended: it serves in the same epoch, the replica catches up, and all is as before.
    const auto epoch = world.epoch();
    world.start(0, true);
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 10s)) << world.core().reason();
    EXPECT_EQ(world.epoch(), epoch);
    ASSERT_TRUE(
        world.run_until([&] { return world.core().semi_sync().state() == SemiSyncState::waits; }, 10s));
    EXPECT_TRUE(world.missing_on(1, world.acknowledged()).empty());
    ASSERT_TRUE(world.run_until([&] { return !world.stored().degraded; }, 2s));
  }
}

// The same, and the replica has caught up with all that the daemon knew of. What the primary answered after
// that nobody saw: an operator has to decide.
TEST(SemiSync, WhatNobodySawIsNotTakenForNothing) {
  Scenario world;
  degrade(world);
  world.kill_daemon();
  const auto known = world.stored().degraded->known;
  world.server(1).resume_receiving();
  ASSERT_TRUE(world.run_until([&] { return world.server(1).log.set().contains(known); }, 5s));
  world.crash(0);
  world.start_daemon();
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "what the primary committed after ")) << world.core().reason();
  const auto refused = world.failover(1);
  ASSERT_TRUE(world.run_until_answered(refused));
  EXPECT_FALSE(world.answered_ok(refused));
  const auto forced = world.failover(1, true);
  ASSERT_TRUE(world.run_until_answered(forced));
  EXPECT_TRUE(world.answered_ok(forced)) << world.answer_text(forced);
}

// What is merely on its way when the primary dies is no hindrance elsewhere. Here it was answered.
TEST(SemiSync, NothingThatWasAnsweredAloneIsOnlyOnItsWay) {
  WorldOptions options;
  options.write_interval = 1s;
  Scenario world(options);
  ASSERT_TRUE(world.run_until([&] { return world.core().semi_sync().state() == SemiSyncState::waits; }, 5s));
  world.server(1).stop_receiving();
  ASSERT_TRUE(world.run_until([&] { return world.core().at_stake().count() == 2; }, 10s));
  world.crash(0);  // a moment after the one report that has it
  world.run_for(5s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 is behind: it never received 2 "))
      << world.core().reason();
}

// A new primary that dies before it was probed for the first time was not unseen: its promotion is known.
TEST(SemiSync, ANewPrimaryThatDiesAtOnceIsReplaced) {
  Scenario world;
  world.run_for(2s);
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request));
  ASSERT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  world.crash(1);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 5s)) << world.core().reason();
}

// After a failover the new primary is alone until the old one is back. Should it die meanwhile, nobody may
// take over.
TEST(SemiSync, ANewPrimaryIsAloneAtFirst) {
  Scenario world;
  world.run_for(2s);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s));
  ASSERT_TRUE(world.run_until([&] { return world.stored().degraded.has_value(); }, 1s));
  EXPECT_EQ(world.stored().degraded->primary, "db2");
  ASSERT_TRUE(world.run_until([&] { return !world.records("degraded").empty(); }, 3s));
  EXPECT_GT(world.core().at_stake().count(), 0U);
  world.start(0, true);
  ASSERT_TRUE(world.run_until([&] { return !world.records("restored").empty(); }, 10s));
  EXPECT_TRUE(world.missing_on(0, world.acknowledged()).empty());
}

// With `required` nothing is ever answered alone, so nothing is told.
TEST(SemiSync, RequiredNeverDegrades) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.run_for(2s);
  world.server(1).stop_receiving();
  world.run_for(10s);
  EXPECT_TRUE(world.records("degraded").empty());
  EXPECT_FALSE(world.stored().degraded);
  world.server(1).resume_receiving();
  world.run_for(2s);
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s)) << world.core().reason();
}

// What would make the catch-up of a replica long is said once for all servers, also of the one that is
// primary now.
TEST(SemiSync, SerialAppliersAreWarnedOf) {
  WorldOptions options;
  options.servers = 3;
  Scenario world(options);
  const auto about = [&](const char* what) {
    return std::ranges::count_if(world.core().warnings(), [&](const auto& w) { return contains(w, what); });
  };
  EXPECT_EQ(about("as a replica"), 0);
  world.server(0).appliers = world.server(2).appliers = 1;
  world.server(1).appliers = 4;
  world.run_for(1s);
  EXPECT_EQ(about("db1 and db3 as a replica: one thread applies all"), 1);
  EXPECT_EQ(about("as a replica"), 1);
}

// While it is alone how far it has come is stored now and then, not with each probe.
TEST(SemiSync, TheMarkIsNotStoredWithEachProbe) {
  Scenario world;
  degrade(world);
  const auto stores = [&] {
    return std::ranges::count_if(world.actions(),
                                 [](const Action& a) { return std::holds_alternative<StoreState>(a); });
  };
  const auto before = stores();
  world.run_for(10s);
  EXPECT_GE(stores() - before, 8);
  EXPECT_LE(stores() - before, 11);
}

}  // namespace
}  // namespace pointsman::sim
