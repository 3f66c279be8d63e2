// Three and more servers: who takes over, who never does, and what becomes of a replica of a replica.
#include <gtest/gtest.h>

#include "health/core/candidate.h"
#include "health/core/topology.h"
#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

// What the failover that ran last said of its choice.
std::string choice_of(const Scenario& world) {
  for (const auto& step : world.last("failover").steps) {
    if (step.name == "choose") return step.note;
  }
  return "";
}

bool replicates_from(const Scenario& world, std::size_t i, std::size_t source) {
  const auto& replication = world.server(i).replication;
  return replication && replication->connected &&
         replication->source == world.server(source).settings.address;
}

bool routed_elsewhere(const Scenario& world, std::size_t old) {
  return world.routed() && world.routed() != old && world.core().change() == nullptr;
}

// --- priority
// ----------------------------------------------------------------------------------------------------

// All have received the same: the highest priority wins, wherever it stands, and it is said of the others.
TEST(Priority, DecidesBetweenEquals) {
  for (std::size_t best = 1; best < 4; ++best) {
    auto options = servers(4, [=](conf::Config& c) { c.backends[best].priority = 150; });
    options.writer = false;
    Scenario world(options);
    const auto explained = world.core().explain(world.now());
    const std::string name = "db" + std::to_string(best + 1);
    EXPECT_EQ(explained.candidate, name);
    ASSERT_EQ(explained.passed_over.size(), 2U);
    for (const auto& other : explained.passed_over)
      EXPECT_TRUE(contains(other, "the lower priority (100, " + name + ": 150)")) << other;
    world.crash(0);
    ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s));
    EXPECT_EQ(world.routed(), best);
    EXPECT_TRUE(contains(choice_of(world), "lower priority")) << choice_of(world);
  }
}

// Transactions outrank it: the one that has received more takes over, and nothing is lost.
TEST(Priority, NeverOutranksTransactions) {
  auto options = servers(3, [](conf::Config& c) {
    c.replication.semi_sync = conf::SemiSync::off;
    c.backends[1].priority = 1000;
    c.backends[2].priority = 0;
  });
  options.writer = false;
  Scenario world(options);
  world.cut_replication(1);
  world.write_directly(0);
  world.run_for(300ms);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s));
  EXPECT_EQ(world.routed(), 2U);
  EXPECT_TRUE(contains(choice_of(world), "not db2 (has received 1 transaction less than db3)"))
      << choice_of(world);
  EXPECT_EQ(world.server(2).log.count_of(1), 11U);
}

// A planned change loses nothing whoever is taken: it prefers the priority, and takes the next one when that
// one is not ready.
TEST(Priority, IsWhomASwitchoverPrefers) {
  Scenario world(servers(4, [](conf::Config& c) {
    c.backends[2].priority = 200;
    c.backends[3].priority = 150;
  }));
  world.run_for(1s);
  auto report = world.server(2).report(world.now(), 0);
  report.replica->lag = std::chrono::seconds(60);
  world.slow_probes(2, 400ms);
  world.tell(ProbeSucceeded{BackendId{2}, report, world.now(), world.now()});
  const auto first = world.switchover();
  ASSERT_TRUE(world.run_until_answered(first));
  EXPECT_TRUE(world.answered_ok(first)) << world.answer_text(first);
  EXPECT_EQ(world.routed(), 3U);
  world.slow_probes(2, 1ms);
  ASSERT_TRUE(world.run_until_steady(5s));
  const auto second = world.switchover();
  ASSERT_TRUE(world.run_until_answered(second));
  EXPECT_TRUE(world.answered_ok(second)) << world.answer_text(second);
  EXPECT_EQ(world.routed(), 2U);
}

// The file is read again: the new number counts at once.
TEST(Priority, IsReloaded) {
  auto options = servers(3);
  options.writer = false;
  Scenario world(options);
  EXPECT_EQ(world.core().explain(world.now()).candidate, "db2");
  world.reconfigure([](conf::Config& c) { c.backends[2].priority = 101; });
  EXPECT_EQ(world.core().explain(world.now()).candidate, "db3");
}

// One replica had all of the last commits, alone, and was turned away from the primary by hand: to the other
// replica, or to nobody. What it has was acknowledged, so that the other one, which lacks it, does not take
// over while the primary can be waited for.
TEST(Chosen, NobodyWithoutWhatOneThatWasTurnedAwayAcknowledged) {
  struct Case {
    bool before_its_death;
    bool to_nobody;
  };
  for (const Case& c : {Case{false, false}, Case{false, true}, Case{true, false}, Case{true, true}}) {
    auto options =
        servers(3, [](conf::Config& config) { config.replication.semi_sync = conf::SemiSync::required; });
    Scenario world(options);
    world.run_for(1s);
    world.cut_replication(2);
    world.run_for(3s);
    const auto turn_away = [&] {
      if (!c.to_nobody) return world.chain(1, 2);
      world.server(1).replication.reset();
      world.server(1).semi_sync_replica = false;
    };
    world.maintenance(1, true);  // or it would be turned round again
    if (c.before_its_death) turn_away();
    world.run_for(500ms);
    world.power_off(0);
    if (!c.before_its_death) turn_away();
    world.mend_replication(2);
    world.run_for(10s);
    ASSERT_FALSE(world.missing_on(2, world.acknowledged_by_replica()).empty());
    EXPECT_FALSE(world.routed());
    EXPECT_TRUE(contains(world.core().reason(), "db3 is behind: it never received")) << world.core().reason();
    world.maintenance(1, false);
    world.start(0);
    EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 20s)) << world.core().reason();
  }
}

// What a MariaDB that replicates from nobody has of the primary: what that one wrote, in all domains, also
// after it was heard last.
TEST(Chosen, CountsWhatCameFromThePrimary) {
  conf::Config config;
  for (const char* name : {"db1", "db2"}) {
    config.backends.emplace_back().name = name;
    config.backends.back().address = {name, 3306};
  }
  Cluster cluster(config, Instant(1h));
  const auto set = [](const char* text) { return *GtidSet::parse(Flavour::mariadb, text); };
  const auto answers = [&](std::size_t i, const char* executed) {
    ServerReport report;
    report.flavour = Flavour::mariadb;
    report.server_id = static_cast<std::uint32_t>(i + 1);
    report.executed = set(executed);
    cluster.servers[i].evidence.on_probe_ok(report, Instant(1h), Instant(1h), 1ms);
  };
  answers(0, "0-1-50,0-3-20");
  answers(1, "0-1-60,0-3-30,0-11-4,5-1-3");
  EXPECT_EQ(replicated_from(cluster, cluster.servers[1], cluster.servers[0], set("0-1-50,0-3-20")),
            set("0-1-60,0-3-20,5-1-3"));
  EXPECT_TRUE(replicated_from(cluster, cluster.servers[0], cluster.servers[0], {}).empty()) << "of itself";
}

// The same, and the primary comes back from a crash without what that replica has: it is not made writable.
TEST(Chosen, NotThePrimaryThatLostWhatOneThatWasTurnedAwayHas) {
  for (const bool to_nobody : {false, true}) {
    auto options = servers(3, [](conf::Config& config) {
      config.replication.semi_sync = conf::SemiSync::required;
      config.failover.automatic = false;
    });
    Scenario world(options);
    world.run_for(1s);
    world.cut_replication(2);
    world.run_for(3s);
    world.crash(0);
    if (!to_nobody) world.chain(1, 2);
    if (to_nobody) world.server(1).replication.reset();
    world.run_for(1s);
    const auto& log = world.server(1).log;
    world.server(0).log.take_back(log.order()[log.order().size() - 3]);
    world.start(0);
    world.run_for(10s);
    EXPECT_FALSE(world.routed());
    EXPECT_FALSE(world.server(0).accepts_writes());
    EXPECT_TRUE(contains(world.core().reason(), "which db2 has")) << world.core().reason();
    const auto request = world.failover(0, true);
    ASSERT_TRUE(world.run_until_answered(request));
    EXPECT_EQ(world.routed(), 0U) << "a person may accept the loss";
  }
}

// --- never_promote
// -----------------------------------------------------------------------------------------------

const auto spare_db2 = [](conf::Config& c) { c.backends[1].never_promote = true; };

// It stands first, and the other one is promoted; it follows that one.
TEST(NeverPromote, IsPassedOver) {
  Scenario world(servers(3, spare_db2));
  world.run_for(1s);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s)) << world.core().reason();
  EXPECT_EQ(world.routed(), 2U);
  EXPECT_TRUE(contains(choice_of(world), "not db2 (is never to be promoted")) << choice_of(world);
  EXPECT_TRUE(world.run_until([&] { return replicates_from(world, 1, 2); }, 5s));
  world.start(0);
  EXPECT_TRUE(world.run_until_steady(10s));
}

// It alone is left: nobody takes over, and it is said why, and how it could all the same. A force that names
// nobody does not mean it.
TEST(NeverPromote, OnlyByNameAndByForce) {
  Scenario world(servers(3, spare_db2));
  const auto planned = world.switchover(1);
  EXPECT_FALSE(world.answered_ok(planned));
  EXPECT_TRUE(contains(world.answer_text(planned),
                       "never_promote): only `pointsman failover --to db2 --force` does it"))
      << world.answer_text(planned);
  world.maintenance(2, true);
  world.run_for(1s);
  const auto any = world.switchover();
  EXPECT_FALSE(world.answered_ok(any));
  world.crash(0);
  world.run_for(5s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2: is never to be promoted (never_promote)"))
      << world.core().reason();
  for (const auto request : {world.failover(), world.failover(1), world.failover({}, true)}) {
    ASSERT_TRUE(world.run_until_answered(request));
    EXPECT_FALSE(world.answered_ok(request)) << world.answer_text(request);
  }
  const auto forced = world.failover(1, true);
  ASSERT_TRUE(world.run_until_answered(forced));
  EXPECT_TRUE(world.answered_ok(forced)) << world.answer_text(forced);
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 1s));
  EXPECT_TRUE(
      any_contains(world.core().warnings(), "db2 is the primary although it is never to be promoted"));
}

// What was acknowledged is on a server that can take over: this one acknowledges nothing, also when the word
// comes later, and again when it is taken back.
TEST(NeverPromote, AcknowledgesNothing) {
  Scenario world(servers(3, [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; }));
  ASSERT_TRUE(world.server(1).semi_sync_replica);
  world.reconfigure(spare_db2);
  ASSERT_TRUE(world.run_until([&] { return !world.server(1).semi_sync_replica; }, 2s));
  ASSERT_TRUE(world.run_until_steady(5s));
  world.cut_replication(2);
  world.run_for(1s);
  const auto acknowledged = world.acknowledged_by_replica().size();
  world.run_for(2s);
  EXPECT_EQ(world.acknowledged_by_replica().size(), acknowledged) << "nobody acknowledges";
  world.mend_replication(2);
  world.run_for(1s);
  EXPECT_GT(world.acknowledged_by_replica().size(), acknowledged);
  EXPECT_TRUE(world.view(1).trouble.empty()) << world.view(1).trouble;
  world.reconfigure([](conf::Config& c) { c.backends[1].never_promote = false; });
  EXPECT_TRUE(world.run_until([&] { return world.server(1).semi_sync_replica; }, 20s));
}

// It has received the last transaction, which the only one that acknowledges has not: nobody was told that it
// is safe, so it holds nothing up, and is taken back there. Where commits do not wait, it may have been
// acknowledged, and a person decides.
TEST(NeverPromote, WhatItAloneHasHoldsUpWhatMayBeAcknowledged) {
  for (const auto mode : {conf::SemiSync::required, conf::SemiSync::preferred, conf::SemiSync::off}) {
    Scenario world(servers(3, [=](conf::Config& c) {
      spare_db2(c);
      c.replication.semi_sync = mode;
    }));
    world.run_for(2s);
    world.cut_replication(2);
    world.run_for(300ms);
    world.crash(0);
    world.mend_replication(2);
    ASSERT_FALSE(world.missing_on(2, world.server(1).log.order()).empty());
    if (mode == conf::SemiSync::off) {
      world.run_for(5s);
      EXPECT_FALSE(world.routed());
      EXPECT_TRUE(contains(world.core().reason(), "db3 is behind")) << world.core().reason();
      continue;
    }
    ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s)) << world.core().reason();
    EXPECT_EQ(world.routed(), 2U);
    EXPECT_TRUE(world.missing_on(2, world.acknowledged()).empty());
    EXPECT_TRUE(world.run_until([&] { return replicates_from(world, 1, 2); }, 10s)) << world.view(1).trouble;
    EXPECT_FALSE(world.view(1).quarantined);
  }
}

// --- chained replicas
// --------------------------------------------------------------------------------------------

// db3 replicates from db2, as somebody set it up. It is left there, is a replica by its role, and is not
// promoted; when its source becomes the primary it is a replica like the others.
TEST(Chained, IsLeftWhereItIs) {
  auto options = servers(3);
  options.chained = 2;
  Scenario world(options);
  world.run_for(10s);
  EXPECT_EQ(world.commands_sent(2, "follow"), 0U);
  EXPECT_TRUE(replicates_from(world, 2, 1));
  EXPECT_EQ(world.core().cluster().role_of(world.view(2)), Role::replica);
  EXPECT_TRUE(world.view(2).trouble.empty()) << world.view(2).trouble;
  const auto refused = world.switchover(2);
  EXPECT_TRUE(
      contains(world.answer_text(refused), "db3: replicates from db2, not from db1: a chained replica"))
      << world.answer_text(refused);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  world.start(0);
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_FALSE(is_chained(world.core().cluster(), world.view(2)));
  EXPECT_TRUE(replicates_from(world, 2, 1));
  EXPECT_TRUE(world.server(2).semi_sync_replica);
  const auto request = world.switchover(2);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
}

// Another server than its source takes over: its source is repointed, and it goes on receiving from that one.
TEST(Chained, OutlivesAChangeOfPrimary) {
  auto options = servers(4, [](conf::Config& c) { c.backends[2].priority = 200; });
  options.chained = 3;
  Scenario world(options);
  world.run_for(1s);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s));
  ASSERT_EQ(world.routed(), 2U);
  EXPECT_EQ(world.commands_sent(3, "stop_receiving"), 0U);
  EXPECT_EQ(world.commands_sent(3, "follow"), 0U);
  world.start(0);
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_TRUE(replicates_from(world, 1, 2));
  EXPECT_TRUE(replicates_from(world, 3, 1));
  world.run_for(2s);
  EXPECT_GT(world.server(3).log.count_of(3), 0U) << "what the new primary writes arrives";
}

// Its source dies: status says so and what helps, and that does help; nothing is done by itself.
TEST(Chained, LostSourceIsSaid) {
  auto options = servers(3);
  options.chained = 2;
  Scenario world(options);
  world.run_for(1s);
  world.crash(1);
  world.run_for(10s);
  EXPECT_TRUE(any_contains(world.core().warnings(), "db3: replicates from db2, which is crashed ("))
      << world.view(2).trouble;
  EXPECT_TRUE(any_contains(world.core().warnings(), "`pointsman rejoin db3` makes it follow db1"));
  EXPECT_EQ(world.commands_sent(2, "follow"), 0U);
  const auto request = world.rejoin(2);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  EXPECT_TRUE(replicates_from(world, 2, 0));
  world.start(1);
  EXPECT_TRUE(world.run_until_steady(5s));
  EXPECT_TRUE(replicates_from(world, 2, 0)) << "it stays there";
}

// A running replica is chained by hand, and that is respected, also by the next daemon.
TEST(Chained, ByHand) {
  Scenario world(servers(3));
  world.chain(2, 1);
  world.run_for(5s);
  world.kill_daemon();
  world.start_daemon();
  world.run_for(5s);
  EXPECT_TRUE(replicates_from(world, 2, 1));
  EXPECT_EQ(world.commands_sent(2, "follow"), 0U);
}

// Both of a failed primary's replicas follow the new one, also the one that was away meanwhile and finds its
// old source alive, as a replica: nobody chained it, whichever daemon looks.
TEST(Chained, LeftBehindIsNotChained) {
  for (const bool other_daemon : {false, true}) {
    Scenario world(servers(3));
    world.run_for(1s);
    world.power_off(2);
    world.run_for(2s);
    world.crash(0);
    ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s));
    world.start(0);
    ASSERT_TRUE(world.run_until([&] { return replicates_from(world, 0, 1); }, 10s));
    if (other_daemon) {
      world.kill_daemon();
      world.start_daemon();
      world.run_for(2s);
    }
    world.start(2);
    EXPECT_TRUE(world.run_until([&] { return replicates_from(world, 2, 1); }, 10s)) << world.view(2).trouble;
    EXPECT_TRUE(world.run_until_steady(10s));
  }
}

// Nobody accepts writes and no primary is on record: the head of the chain is named, wherever it stands.
TEST(Chained, ItsHeadIsNamed) {
  auto options = servers(4);
  options.chained = 3;
  options.set = [](std::vector<ModelServer>& all) {
    all[0].read_only = true;
    all[2].follow(all[3].settings.address, conf::SemiSync::off);
  };
  Scenario world(options);
  world.run_for(1s);
  EXPECT_TRUE(contains(world.core().reason(), "db1 is what the others replicate from"))
      << world.core().reason();
}

// Two servers that replicate from each other are none of anybody's wish.
TEST(Chained, RingIsBroken) {
  Scenario world(servers(4));
  world.server(2).follow(world.server(3).settings.address, conf::SemiSync::off);
  world.server(3).follow(world.server(2).settings.address, conf::SemiSync::off);
  EXPECT_TRUE(world.run_until(
      [&] {
        return replicates_from(world, 2, 0) && (replicates_from(world, 3, 0) || replicates_from(world, 3, 2));
      },
      10s));
}

// replication.chained = "move_up": it becomes a replica of the primary, with the next reload at the latest.
TEST(Chained, MovesUpAsConfigured) {
  auto options = servers(3);
  options.chained = 2;
  Scenario world(options);
  world.run_for(2s);
  ASSERT_TRUE(replicates_from(world, 2, 1));
  world.reconfigure([](conf::Config& c) { c.replication.chained = conf::Chained::move_up; });
  EXPECT_TRUE(world.run_until([&] { return replicates_from(world, 2, 0); }, 5s));
  world.run_for(1s);
  EXPECT_EQ(world.records("rejoin").size(), 1U);
}

// --- a primary that shed its tail
// --------------------------------------------------------------------------------

// A primary comes back without what both replicas have, one more than the other: the one that has most takes
// over, though it stands last.
TEST(Outran, ByTheOneThatHasMost) {
  auto options = servers(3, [](conf::Config& c) { c.failover.automatic = false; });
  options.writer = false;
  options.set = [](std::vector<ModelServer>& all) {
    for (const std::size_t i : {1U, 2U}) all[i].log.add({1, 11});
    all[2].log.add({1, 12});
  };
  options.start_daemon = false;
  options.stored.epoch = Epoch{3};
  options.stored.primary = "db1";
  Scenario world(options);
  world.crash(0);
  world.start(0, true);
  world.start_daemon();
  world.run_for(2s);
  EXPECT_TRUE(any_contains(world.core().warnings(), "lost transactions in its crash that db3 has"));
  world.automatic(true);
  ASSERT_TRUE(world.run_until([&] { return routed_elsewhere(world, 0); }, 5s)) << world.core().reason();
  EXPECT_EQ(world.routed(), 2U);
}

// Only one that is never promoted has more: nobody takes over, nothing is thrown away, and a person is told
// whom to force.
TEST(Outran, ByOneThatIsNeverPromoted) {
  auto options = servers(3, [](conf::Config& c) { c.backends[2].never_promote = true; });
  options.writer = false;
  options.set = [](std::vector<ModelServer>& all) { all[2].log.add({1, 11}); };
  options.start_daemon = false;
  options.stored.epoch = Epoch{3};
  options.stored.primary = "db1";
  Scenario world(options);
  world.crash(0);
  world.start(0, true);
  world.start_daemon();
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(any_contains(world.core().warnings(), "`pointsman failover --to db3 --force`"))
      << world.core().reason();
  EXPECT_TRUE(world.server(0).read_only);
}

}  // namespace
}  // namespace pointsman::sim
