// Why nobody takes over although the primary does not serve: each rule, that it says so, and that it ends.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

struct Rule {
  const char* name;
  std::function<void(conf::Config&)> configure;
  std::function<void(Scenario&)> arrange;  // before the primary dies
  const char* why;
  std::function<void(Scenario&)> lift;  // empty: only the primary's return helps
};

const Rule rules[] = {
    {"automatic off by the operator",
     {},
     [](Scenario& w) { w.automatic(false); },
     "automatic failover is off",
     [](Scenario& w) { w.automatic(true); }},
    {"automatic off by the file",
     [](conf::Config& c) { c.failover.automatic = false; },
     {},
     "automatic failover is off",
     [](Scenario& w) { w.reconfigure([](conf::Config& c) { c.failover.automatic = true; }); }},
    {"primary in maintenance",
     {},
     [](Scenario& w) { w.maintenance(0, true); },
     "db1 is in maintenance",
     [](Scenario& w) { w.maintenance(0, false); }},
    {"candidate in maintenance",
     {},
     [](Scenario& w) { w.maintenance(1, true); },
     "db2: in maintenance",
     [](Scenario& w) { w.maintenance(1, false); }},
    {"broken SQL thread",
     {},
     [](Scenario& w) { w.server(1).replication->sql_errno = 1062; },
     "its SQL thread stopped with error 1062",
     [](Scenario& w) { w.server(1).replication->sql_errno = 0; }},
    {"behind in asynchronous mode", [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; },
     [](Scenario& w) { w.cut_replication(1); }, "db2 is behind: it never received",
     [](Scenario& w) { w.reconfigure([](conf::Config& c) { c.failover.allow_loss = true; }); }},
    {"too many in the window",
     [](conf::Config& c) { c.failover.max_in_window = 0; },
     {},
     "0 automatic failovers within 600 s",
     [](Scenario& w) { w.reconfigure([](conf::Config& c) { c.failover.max_in_window = 3; }); }},
};

// Each rule holds the failover back, says why, is recorded once however long the outage lasts, and sets the
// route's reason only when it changes. When the reason goes away, the failover happens.
TEST(Veto, EachRuleHoldsAndEnds) {
  for (const auto& rule : rules) {
    WorldOptions options;
    options.configure = rule.configure;
    Scenario world(options);
    if (rule.arrange) rule.arrange(world);
    world.run_for(2s);
    const auto epoch = world.epoch();
    world.crash(0);
    world.run_for(1s);
    const auto routes = world.routes_set();
    world.run_for(30s);
    EXPECT_EQ(world.epoch(), epoch) << rule.name;
    EXPECT_FALSE(world.routed()) << rule.name;
    EXPECT_TRUE(contains(world.core().reason(), rule.why)) << rule.name << ": " << world.core().reason();
    EXPECT_EQ(world.core().state(), State::no_primary);
    ASSERT_EQ(world.records("refused").size(), 1U) << rule.name;
    EXPECT_TRUE(contains(world.records("refused")[0].message, rule.why)) << rule.name;
    EXPECT_LE(world.routes_set() - routes, 2U) << rule.name << ": the route is set again and again";
    rule.lift(world);
    EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s))
        << rule.name << ": " << world.core().reason();
  }
}

// A vetoed primary comes back, read-only as it should or writable: it serves again in the same epoch.
TEST(Veto, PrimaryReturns) {
  for (const auto& rule : rules) {
    for (const bool read_only : {false, true}) {
      WorldOptions options;
      options.configure = rule.configure;
      Scenario world(options);
      if (rule.arrange) rule.arrange(world);
      world.run_for(2s);
      const auto epoch = world.epoch();
      world.crash(0);
      world.run_for(3s);
      world.start(0, read_only);
      const bool maintained = world.view(0).maintenance;
      // In maintenance nobody makes it writable but the operator who works on it.
      if (maintained && read_only) continue;
      EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 3s))
          << rule.name << ": " << world.core().reason();
      EXPECT_TRUE(world.server(0).accepts_writes());
      EXPECT_EQ(world.epoch(), epoch) << rule.name;
    }
  }
}

// The next outage is recorded again.
TEST(Veto, EachOutageIsRecorded) {
  Scenario world;
  world.automatic(false);
  for (int outage = 1; outage <= 3; ++outage) {
    world.crash(0);
    world.run_for(5s);
    EXPECT_EQ(world.records("refused").size(), static_cast<std::size_t>(outage));
    world.start(0, false);
    world.run_for(5s);
    EXPECT_EQ(world.routed(), 0U);
  }
}

// With semi-sync active what the replica lacks was never acknowledged: it may take over though the primary
// had a little more.
TEST(Veto, ActiveSemiSyncExempts) {
  WorldOptions options;
  options.replication_time = 150ms;  // the last commits wait for their acknowledgement
  options.write_interval = 10ms;
  Scenario world(options);
  world.run_for(3s);
  ASSERT_TRUE(world.server(0).semi_sync_active);
  world.crash(0);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(1, world.acknowledged_by_replica()).empty());
}

// Semi-sync fell back to asynchronous because the replica was away, and the primary dies before it has caught
// up.
TEST(Veto, FallenBackSemiSyncDoesNotExempt) {
  Scenario world;
  world.crash(1);
  world.run_for(3s);
  ASSERT_FALSE(world.server(0).semi_sync_active);
  world.cut_replication(1);
  world.start(1);
  world.run_for(2s);
  world.crash(0);
  world.run_for(5s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 is behind")) << world.core().reason();
}

// Killed after its replica, which is back at once without what it had acknowledged and not applied. When the
// primary was heard last no replica was connected any more: it is no less true of what it answered before.
TEST(Veto, ReplicaForgotWhatItAcknowledgedJustBefore) {
  std::uint64_t lost = 0;
  for (const Duration offset : {0ms, 30ms, 60ms, 90ms, 120ms, 150ms, 180ms}) {
    for (const auto mode : {conf::SemiSync::required, conf::SemiSync::preferred}) {
      WorldOptions options;
      options.configure = [&](conf::Config& c) { c.replication.semi_sync = mode; };
      options.write_interval = 70ms;
      options.apply_time = 60ms;
      Scenario world(options);
      world.run_for(3s + offset);
      ASSERT_TRUE(world.server(0).semi_sync_active);
      world.crash(1);
      world.run_for(170ms);
      world.cut_replication(1);
      world.start(1);
      world.run_for(5ms);
      world.crash(0);
      world.run_for(5s);
      lost += world.missing_on(1, world.acknowledged_by_replica()).size();
      EXPECT_FALSE(world.routed()) << "after " << to_ms(offset) << " ms: " << world.core().reason();
      world.mend_replication(1);
      world.start(0);
      EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s)) << world.core().reason();
    }
  }
  EXPECT_GT(lost, 0U) << "a promotion would have lost nothing";
}

// Both were killed at once, and recovery took out on both what the replica may have acknowledged. Nobody has
// it any more, so the replica, which has more, takes over; and it is said that something may be lost.
TEST(Veto, ForgottenByBothIsSaid) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  options.write_interval = 50ms;
  Scenario world(options);
  world.run_for(3s);
  world.crash(0);
  world.crash(1);
  world.run_for(500ms);
  world.server(0).log.take_back(world.server(0).log.order().back());
  world.start(0);
  world.start(1);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s)) << world.core().reason();
  world.run_until_idle();
  EXPECT_TRUE(contains(world.last("failover").message, "neither has what the replica may have acknowledged"))
      << world.last("failover").message;
}

// A MySQL that is shut down while no replica is connected answers the commits that wait for one. After a
// crash it cannot have done so.
TEST(Veto, ShutDownWithoutAReplicaLetsCommitsGo) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  for (const bool shut_down : {false, true}) {
    Scenario world(options);
    world.run_for(3s);
    ASSERT_TRUE(world.server(0).semi_sync_active);
    world.maintenance(1, true);  // or it would be told to acknowledge again
    world.server(1).semi_sync_replica = false;
    world.run_for(500ms);
    if (shut_down) {
      world.server(0).sick = Failure{FailureKind::shutting_down, 1053, "Server shutdown in progress"};
      world.run_for(400ms);
    }
    world.crash(0);
    world.server(0).sick.reset();
    world.run_for(300ms);  // or it would be told whom to follow while nobody is there
    world.maintenance(1, false);
    world.run_for(5s);
    if (!shut_down) {
      EXPECT_EQ(world.routed(), 1U) << world.core().reason();
      continue;
    }
    EXPECT_FALSE(world.routed());
    EXPECT_TRUE(contains(world.core().reason(), "shut down while no replica was connected"))
        << world.core().reason();
    world.start(0);
    EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 10s)) << world.core().reason();
  }
}

// allow_loss: the failover happens, and says before and after what is lost.
TEST(Veto, AllowedLossIsStated) {
  WorldOptions options;
  options.configure = [](conf::Config& c) {
    c.replication.semi_sync = conf::SemiSync::off;
    c.failover.allow_loss = true;
  };
  Scenario world(options);
  world.cut_replication(1);
  world.run_for(2s);
  EXPECT_TRUE(contains(world.core().explain(world.now()).loss, "transactions"))
      << world.core().explain(world.now()).loss;
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 3s));
  world.run_until_idle();
  EXPECT_FALSE(world.last("failover").lost.empty());
  world.mend_replication(1);
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return world.view(0).quarantined; }, 5s));
}

// The fourth primary within the window dies as well: something else is wrong, and a person should look.
TEST(Veto, TooManyInTheWindow) {
  Scenario world;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(world.run_until_steady(10s));
    const auto primary = *world.routed();
    world.crash(primary);
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 1 - primary; }, 10s)) << world.core().reason();
    world.start(primary);
  }
  ASSERT_TRUE(world.run_until_steady(10s));
  world.crash(*world.routed());
  world.run_for(30s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "3 automatic failovers within 600 s")) << world.core().reason();
  world.run_for(10min);
  EXPECT_TRUE(world.routed());
}

// A planned return to the preferred primary is no sign of trouble and does not count.
TEST(Veto, FailbackDoesNotCount) {
  WorldOptions options;
  options.configure = [](conf::Config& c) {
    c.failover.failback = true;
    c.failover.max_in_window = 2;
  };
  Scenario world(options);
  for (int i = 0; i < 2; ++i) {
    world.crash(0);
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s)) << i << world.core().reason();
    world.start(0);
    ASSERT_TRUE(world.run_until([&] { return world.routed() == 0U && world.healthy(); }, 10s))
        << i << world.core().reason();
  }
}

}  // namespace
}  // namespace pointsman::sim
