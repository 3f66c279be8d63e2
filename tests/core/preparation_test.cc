// What comes before a switchover: what is in the way is waited for or ended, as told, while nothing is
// changed.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;
using Kind = Occupant::Kind;

Occupant occupant(Kind kind, std::uint64_t thread = 12) {
  return {kind, thread, "app@10.0.0.5:4711", std::chrono::seconds(34), "UPDATE t SET v = 1"};
}

RequestId ask(Scenario& world, Duration max_wait, bool end_transactions = false, bool dry_run = false) {
  SwitchoverWanted wish;
  wish.to = BackendId{1};
  wish.max_wait = max_wait;
  wish.end_transactions = end_transactions;
  wish.dry_run = dry_run;
  return world.switchover(wish);
}

// Nothing but questions was sent, the epoch is the old one, and the clients were served all the time.
void expect_untouched(Scenario& world, std::uint64_t epoch, std::size_t routes) {
  EXPECT_EQ(world.epoch(), epoch);
  EXPECT_EQ(world.routes_set(), routes);
  EXPECT_EQ(world.routed(), 0U);
  for (const char* command : {"make_read_only", "promote", "follow", "make_writable"}) {
    for (const std::size_t i : {0U, 1U}) EXPECT_EQ(world.commands_sent(i, command), 0U) << command;
  }
  EXPECT_FALSE(world.stored().change);
  EXPECT_TRUE(world.records("switchover").empty());
}

// A long transaction, a statement, a table lock, a backup on either server, and a lagging replica: each is
// named, each is waited for as long as was said, and then it is given up with nothing changed.
TEST(Preparation, WaitsAndGivesUp) {
  struct Case {
    std::size_t where;
    Occupant who;
    const char* text;
    bool may_be_ended;
  };
  const Case cases[] = {
      {0, occupant(Kind::transaction),
       "db1: thread 12 (app@10.0.0.5:4711), a transaction open for 34 s: UPDATE t SET v = 1", true},
      {0, occupant(Kind::statement), "a statement that runs for 34 s", true},
      {0, occupant(Kind::table_lock), "LOCK TABLES", true},
      {0, occupant(Kind::backup), "db1: thread 12 (app@10.0.0.5:4711), the lock of a backup", false},
      {1, occupant(Kind::backup), "db2: thread 12 (app@10.0.0.5:4711), the lock of a backup", false},
      {1, occupant(Kind::table_lock), "db2: thread 12", false},
  };
  for (const auto& [where, who, text, may_be_ended] : cases) {
    for (const Duration max_wait : {Duration(0s), Duration(3s)}) {
      Scenario world;
      world.server(where).occupants = {who};
      const auto epoch = world.epoch();
      const auto routes = world.routes_set();
      const Instant began = world.now();
      const auto request = ask(world, max_wait);
      ASSERT_TRUE(world.run_until_answered(request, 10s));
      EXPECT_FALSE(world.answered_ok(request));
      EXPECT_GE(world.now() - began, max_wait) << text;
      EXPECT_LT(world.now() - began, max_wait + 100ms) << text;
      EXPECT_TRUE(contains(world.answer_text(request), text)) << world.answer_text(request);
      EXPECT_TRUE(contains(world.answer_text(request), "nothing was changed")) << world.answer_text(request);
      EXPECT_EQ(contains(world.answer_text(request), "--end-transactions"), may_be_ended)
          << world.answer_text(request);
      expect_untouched(world, epoch, routes);
      EXPECT_EQ(world.server(where).occupants.size(), 1U);
    }
  }
}

// It ends by itself while it is waited for: the switchover goes on at once, and says what it waited for.
TEST(Preparation, GoesOnWhenTheTransactionEnds) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction)};
  const auto request = ask(world, 30s);
  world.run_for(5s);
  EXPECT_EQ(world.answer(request), nullptr);
  EXPECT_EQ(world.core().state(), State::steady);
  world.server(0).occupants.clear();
  ASSERT_TRUE(world.run_until_answered(request, 1s));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  EXPECT_TRUE(contains(world.answer_text(request), "waited 5")) << world.answer_text(request);
  EXPECT_TRUE(contains(world.answer_text(request), "thread 12")) << world.answer_text(request);
  EXPECT_EQ(world.routed(), 1U);
}

// Told to end them, it waits first, ends all of them, and names them. One that begins to be old meanwhile is
// ended as well.
TEST(Preparation, EndsTransactionsAsTold) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction, 12), occupant(Kind::table_lock, 13)};
  const auto request = ask(world, 3s, true);
  world.run_for(2900ms);
  EXPECT_EQ(world.server(0).occupants.size(), 2U);
  ASSERT_TRUE(world.run_until([&] { return world.server(0).occupants.empty(); }, 1s));
  world.server(0).occupants = {occupant(Kind::statement, 14)};
  ASSERT_TRUE(world.run_until_answered(request, 1s));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  for (const char* thread : {"ended: db1: thread 12", "ended: db1: thread 13", "ended: db1: thread 14"})
    EXPECT_TRUE(contains(world.answer_text(request), thread)) << world.answer_text(request);
}

// A transaction that is ended takes its time to be rolled back; one that never is, is given up.
TEST(Preparation, WaitsForWhatItEnded) {
  for (const bool ends : {true, false}) {
    Scenario world;
    const auto stubborn = occupant(Kind::transaction);
    world.server(0).occupants = {stubborn};
    const auto request = ask(world, 0s, true);
    const Instant began = world.now();
    world.on_step = [&](const Event&, const Actions&) {
      const bool still = !ends || world.now() - began < 5s;
      world.server(0).occupants = still ? std::vector{stubborn} : std::vector<Occupant>{};
    };
    ASSERT_TRUE(world.run_until_answered(request, 20s));
    EXPECT_EQ(world.answered_ok(request), ends) << world.answer_text(request);
    EXPECT_EQ(world.commands_sent(0, "end_occupants"), 1U);
    EXPECT_GE(world.now() - began, ends ? 5s : 10s);
    EXPECT_EQ(contains(world.answer_text(request), "but 1 session was ended"), !ends);
  }
}

// A backup is never ended, and nothing else is ended for a switchover that cannot be because of it.
TEST(Preparation, NeverEndsABackup) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::backup, 12), occupant(Kind::transaction, 13)};
  const auto request = ask(world, 1s, true);
  ASSERT_TRUE(world.run_until_answered(request, 5s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_EQ(world.server(0).occupants.size(), 2U);
  EXPECT_EQ(world.commands_sent(0, "end_occupants"), 0U);
}

// The dry run asks as well, says what it would wait for, and ends nothing.
TEST(Preparation, DryRunSaysWhatItWouldWaitFor) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction)};
  const auto epoch = world.epoch();
  const auto routes = world.routes_set();
  const auto request = ask(world, 30s, true, true);
  ASSERT_TRUE(world.run_until_answered(request, 100ms));
  ASSERT_TRUE(world.answered_ok(request));
  ASSERT_EQ(world.answer(request)->waits.size(), 1U);
  EXPECT_TRUE(contains(world.answer(request)->waits[0], "thread 12"));
  EXPECT_FALSE(world.answer(request)->plan.empty());
  expect_untouched(world, epoch, routes);
  EXPECT_EQ(world.server(0).occupants.size(), 1U);
}

// What no waiting helps against is refused at once.
TEST(Preparation, RefusesAtOnce) {
  struct Case {
    std::function<void(Scenario&)> arrange;
    const char* why;
  };
  const Case cases[] = {
      {[](Scenario& w) { w.server(1).free_bytes = std::uint64_t{100} << 20; }, "db2 has only 100 MiB free"},
      {[](Scenario& w) {
         w.server(0).events_exist = w.server(0).events_enabled = w.server(0).event_scheduler = true;
         w.server(1).scheduler_settable = false;
       },
       "the event scheduler of db2 is off and cannot be started by us"},
      {[](Scenario& w) { w.spoil(0, "survey", Mishap::refused); }, "db1: command on db1: model error"},
  };
  for (const auto& [arrange, why] : cases) {
    Scenario world;
    arrange(world);
    const auto epoch = world.epoch();
    const auto routes = world.routes_set();
    const auto request = ask(world, 30s, true);
    ASSERT_TRUE(world.run_until_answered(request, 100ms));
    EXPECT_FALSE(world.answered_ok(request));
    EXPECT_TRUE(contains(world.answer_text(request), why)) << world.answer_text(request);
    expect_untouched(world, epoch, routes);
  }
}

// The replica receives and does not apply, which its status does not show: it is tried before the clients
// would have to wait for it.
TEST(Preparation, TriesWhetherTheReplicaApplies) {
  Scenario world;
  world.stop_applying(1, true);
  world.run_for(100ms);
  const auto epoch = world.epoch();
  const auto routes = world.routes_set();
  const auto request = ask(world, 2s);
  ASSERT_TRUE(world.run_until_answered(request, 4s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "db2 does not apply within 1000 ms what db1 has"))
      << world.answer_text(request);
  expect_untouched(world, epoch, routes);
}

// We are just setting the replica's role anew, which stops its threads for a moment: that is waited for.
TEST(Preparation, WaitsForAReplicaThatWeRestart) {
  Scenario world;
  world.spoil(1, "follow", Mishap::half);
  world.server(1).semi_sync_replica = false;
  ASSERT_TRUE(world.run_until(
      [&] { return world.view(1).being_turned && !world.server(1).replication->connected; }, 30s));
  world.run_for(250ms);
  const auto request = ask(world, 30s);
  EXPECT_EQ(world.answer(request), nullptr);
  ASSERT_TRUE(world.run_until_answered(request, 30s));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
}

// A second one is refused while the first waits.
TEST(Preparation, OneAtATime) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction)};
  const auto first = ask(world, 5s);
  world.run_for(1s);
  const auto second = ask(world, 5s);
  EXPECT_FALSE(world.answered_ok(second));
  EXPECT_TRUE(contains(world.answer_text(second), "a switchover is being prepared"))
      << world.answer_text(second);
  world.server(0).occupants.clear();
  ASSERT_TRUE(world.run_until_answered(first, 1s));
  EXPECT_TRUE(world.answered_ok(first));
}

// While it waits everything else goes on: a primary that dies is failed over, and the operator is told that
// nothing came of the switchover.
TEST(Preparation, GivesWayToAFailover) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction)};
  const auto request = ask(world, 60s);
  world.run_for(1s);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 2s));
  ASSERT_TRUE(world.run_until_answered(request, 1s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "switchover refused")) << world.answer_text(request);
  EXPECT_EQ(world.records("failover").size(), 1U);
}

// The target is lost, or its replication breaks, while it waits.
TEST(Preparation, WatchesTheTarget) {
  for (const bool broken : {true, false}) {
    Scenario world;
    world.server(0).occupants = {occupant(Kind::transaction)};
    const auto request = ask(world, 60s);
    world.run_for(1s);
    if (broken) world.server(1).replication->sql_errno = 1062;
    if (!broken) world.crash(1);
    ASSERT_TRUE(world.run_until_answered(request, 2s));
    EXPECT_FALSE(world.answered_ok(request));
    EXPECT_TRUE(contains(world.answer_text(request), "db2")) << world.answer_text(request);
    EXPECT_EQ(world.routed(), 0U);
  }
}

// The daemon is killed while it waits: there was nothing to undo.
TEST(Preparation, KilledWhileItWaits) {
  Scenario world;
  world.server(0).occupants = {occupant(Kind::transaction)};
  const auto epoch = world.epoch();
  ask(world, 60s);
  world.run_for(1s);
  world.kill_daemon();
  EXPECT_FALSE(world.stored().change);
  world.start_daemon();
  ASSERT_TRUE(world.run_until_steady(2s));
  EXPECT_EQ(world.epoch(), epoch);
  EXPECT_EQ(world.routed(), 0U);
  EXPECT_EQ(world.commands_sent(0, "make_read_only"), 0U);
}

}  // namespace
}  // namespace pointsman::sim
