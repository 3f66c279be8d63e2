// A planned change of primary: it checks everything first, and whatever goes wrong before the promotion is
// undone.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

// The usual case: writes stop for a moment only, nothing is lost, the old primary follows, and the answer
// says what was done.
TEST(Switchover, Succeeds) {
  Scenario world(servers(3));
  world.run_for(1s);
  const auto epoch = world.epoch();
  const Instant began = world.now();
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_changing());
  EXPECT_EQ(world.core().state(), State::switching_over);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  EXPECT_LT(world.now() - began, 50ms);
  ASSERT_TRUE(world.run_until_answered(request, 10s));
  EXPECT_TRUE(world.answered_ok(request)) << world.answer_text(request);
  ASSERT_TRUE(world.answer(request)->outcome);
  EXPECT_EQ(step_names(*world.answer(request)->outcome),
            "close_route read_only catch_up promote route repoint");
  EXPECT_EQ(world.epoch(), epoch + 1);
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_TRUE(world.missing_on(1, world.acknowledged()).empty());
  EXPECT_TRUE(world.last("switchover").lost.empty());
  EXPECT_EQ(world.records("switchover").size(), 1U);
  ASSERT_EQ(world.records("switchover_started").size(), 1U);
  EXPECT_EQ(world.last("switchover_started").message, "switchover db1 -> db2 begins");
  EXPECT_TRUE(world.records("failover_started").empty());
  EXPECT_TRUE(world.records("rejoin").empty());
}

// Without a name the best replica is taken; there and back again.
TEST(Switchover, ThereAndBackAgain) {
  Scenario world;
  for (int i = 0; i < 6; ++i) {
    const auto from = *world.routed();
    const auto request = world.switchover();
    ASSERT_TRUE(world.run_until_answered(request));
    ASSERT_TRUE(world.answered_ok(request)) << world.answer_text(request);
    EXPECT_EQ(world.routed(), 1 - from);
    ASSERT_TRUE(world.run_until_steady(5s));
  }
  EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged()).empty());
}

struct Refusal {
  const char* name;
  std::function<void(Scenario&)> arrange;
  std::optional<std::size_t> to;
  const char* why;
};

const Refusal refusals[] = {
    {"is the primary", {}, 0U, "db1 is the primary already"},
    {"down", [](Scenario& w) { w.crash(1); }, 1U, "db2: crashed"},
    {"maintenance", [](Scenario& w) { w.maintenance(1, true); }, 1U, "db2: in maintenance"},
    {"does not replicate",
     [](Scenario& w) {
       w.spoil(1, "follow", Mishap::refused, 100);
       w.server(1).replication.reset();
     },
     1U, "replicates from nobody"},
    {"does not receive", [](Scenario& w) { w.server(1).stop_replication(); }, 1U,
     "db2 does not receive from db1"},
    {"broken SQL thread", [](Scenario& w) { w.server(1).replication->sql_errno = 1062; }, 1U, "SQL thread"},
    {"errant", [](Scenario& w) { w.write_directly(1); }, 1U, "never had"},
    {"no binary log", [](Scenario& w) { w.server(1).log_bin = false; }, 1U, "writes no binary log"},
    {"primary down",
     [](Scenario& w) {
       w.automatic(false);
       w.crash(0);
     },
     1U, "`pointsman failover` replaces a primary"},
    {"primary read-only", [](Scenario& w) { w.server(0).read_only = true; }, 1U, "db1 is up"},
    {"state not stored",
     [](Scenario& w) {
       w.spoil_store("No space left on device");
       w.automatic(true);
     },
     1U, "cannot be stored"},
    {"nobody fit",
     [](Scenario& w) {
       w.maintenance(1, true);
       w.maintenance(2, true);
     },
     {},
     "db2: in maintenance; db3: in maintenance"},
};

// Each refusal says why, and nothing is changed; the dry run refuses for the same reason.
TEST(Switchover, RefusesAndChangesNothing) {
  for (const auto& refusal : refusals) {
    for (const bool dry : {true, false}) {
      Scenario world(servers(3));
      if (refusal.arrange) refusal.arrange(world);
      world.run_for(2s);
      const auto epoch = world.epoch();
      const auto routes = world.routes_set();
      const auto request = world.switchover(refusal.to, dry);
      ASSERT_NE(world.answer(request), nullptr) << refusal.name;
      EXPECT_FALSE(world.answered_ok(request)) << refusal.name;
      EXPECT_TRUE(contains(world.answer_text(request), refusal.why))
          << refusal.name << ": " << world.answer_text(request);
      EXPECT_TRUE(contains(world.answer_text(request), "nothing was changed")) << refusal.name;
      EXPECT_EQ(world.epoch(), epoch) << refusal.name;
      EXPECT_EQ(world.routes_set(), routes) << refusal.name;
      EXPECT_EQ(world.core().change(), nullptr) << refusal.name;
    }
  }
}

// One at a time.
TEST(Switchover, RefusesWhileAChangeRuns) {
  Scenario world(servers(3));
  const auto first = world.switchover(1);
  ASSERT_TRUE(world.run_until_changing());
  const auto second = world.switchover(2);
  const auto third = world.failover(2, true);
  const auto fourth = world.rejoin(2);
  for (const auto request : {second, third, fourth}) {
    EXPECT_FALSE(world.answered_ok(request));
    EXPECT_TRUE(contains(world.answer_text(request), "a switchover is in progress"))
        << world.answer_text(request);
  }
  ASSERT_TRUE(world.run_until_answered(first));
  EXPECT_TRUE(world.answered_ok(first));
}

// The replica is far behind: clients would wait for it.
TEST(Switchover, RefusesALaggingReplica) {
  Scenario world;
  auto report = world.server(1).report(world.now(), 0);
  report.replica->lag = std::chrono::seconds(60);
  world.tell(ProbeSucceeded{BackendId{1}, report, world.now(), world.now()});
  const auto request = world.switchover(1);
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "60 s behind")) << world.answer_text(request);
}

// The dry run shows the plan and changes nothing.
TEST(Switchover, DryRunChangesNothing) {
  Scenario world(servers(3));
  world.run_for(1s);
  const auto epoch = world.epoch();
  const auto actions = world.actions().size();
  const auto request = world.switchover({}, true);
  ASSERT_TRUE(world.run_until_answered(request, 1s));
  ASSERT_TRUE(world.answered_ok(request));
  std::string steps;
  for (const auto& step : world.answer(request)->plan) steps += step.step + ":" + step.backend + " ";
  EXPECT_EQ(steps, "close_route: read_only:db1 catch_up:db2 promote:db2 route:db2 repoint: ");
  EXPECT_TRUE(world.answer(request)->waits.empty());
  // It asks, and nothing else.
  for (auto at = actions; at < world.actions().size(); ++at) {
    const auto* command = std::get_if<SendCommand>(&world.actions()[at]);
    const bool asks = command != nullptr && (std::holds_alternative<Survey>(command->command) ||
                                             std::holds_alternative<WaitApplied>(command->command));
    EXPECT_TRUE(asks || std::holds_alternative<Reply>(world.actions()[at])) << text_of(world.actions()[at]);
  }
  EXPECT_EQ(world.epoch(), epoch);
}

// The target applies slowly: it is promoted when it has everything.
TEST(Switchover, WaitsForTheLastTransaction) {
  WorldOptions options;
  options.apply_time = 15ms;
  options.write_interval = 10ms;
  Scenario world(options);
  world.run_for(500ms);
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged()).empty());
  EXPECT_TRUE(serviceable(world) || world.run_until([&] { return serviceable(world); }, 10s));
}

// --- failures
// ---------------------------------------------------------------------------------------------------

// Any command before the promotion fails in any way: all is undone, the old primary takes writes again and is
// routed, the answer says what went wrong, and a second try succeeds.
TEST(Switchover, FailureBeforeThePromotionIsUndone) {
  struct Step {
    std::size_t who;
    const char* command;
  };
  for (const auto& [who, command] : {Step{0, "make_read_only"}, Step{1, "wait_applied"}}) {
    for (const auto how : {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs}) {
      WorldOptions options;
      options.apply_time = 5ms;
      Scenario world(options);
      world.run_for(1s);
      const auto request = world.switchover(1);
      ASSERT_TRUE(world.run_until_changing());
      world.spoil(who, command, how);
      ASSERT_TRUE(world.run_until_answered(request, 20s));
      if (!world.answered_ok(request)) {
        world.run_for(1ms);
        EXPECT_EQ(world.routed(), 0U) << command << static_cast<int>(how);
        EXPECT_TRUE(world.server(0).accepts_writes());
        EXPECT_EQ(world.commands_sent(1, "promote"), 0U);
        EXPECT_TRUE(world.last("switchover").failed);
        EXPECT_EQ(world.stored().primary, "db1");
        world.run_for(100ms);
        EXPECT_FALSE(world.stored().change);
      }
      world.spoil_nothing(who);
      ASSERT_TRUE(world.run_until_steady(20s));
      const auto again = world.switchover();
      ASSERT_TRUE(world.run_until_answered(again, 20s));
      EXPECT_TRUE(world.answered_ok(again)) << world.answer_text(again);
    }
  }
}

// The route is not confirmed closed in time.
TEST(Switchover, UnconfirmedRouteIsUndone) {
  Scenario world;
  world.hold_routes(true);
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request, 5s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_EQ(world.commands_sent(0, "make_read_only"), 0U);
  EXPECT_EQ(world.core().route().mode, RouteMode::open);
}

// The disk is full: the old primary is not touched at all.
TEST(Switchover, FullDiskTouchesNobody) {
  Scenario world;
  world.run_for(1s);
  world.spoil_store("No space left on device");
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request, 5s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "No space left on device"));
  EXPECT_EQ(world.commands_sent(0, "make_read_only"), 0U);
  world.run_for(1s);
  EXPECT_EQ(world.routed(), 0U);
}

// A commit waits for a replica that is not there, and would hold up the primary: it is given up before
// anything is touched.
TEST(Switchover, PrimaryThatCannotBecomeReadOnly) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.run_for(1s);
  world.cut_replication(1);
  world.run_for(1s);
  ASSERT_FALSE(world.server(0).waiting.empty());
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request, 12s));
  EXPECT_FALSE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "db2 does not apply within 1000 ms what db1 has"))
      << world.answer_text(request);
  EXPECT_EQ(world.commands_sent(0, "make_read_only"), 0U);
  world.mend_replication(1);
  EXPECT_TRUE(world.run_until_steady(5s));
  EXPECT_EQ(world.routed(), 0U);
}

// The promotion fails in any way, and perhaps the undoing as well: in the end there is one primary, with
// everything that was acknowledged, and it is never two.
TEST(Switchover, FailureOfThePromotionIsUndoneSafely) {
  for (const auto how : {Mishap::refused, Mishap::half, Mishap::deaf, Mishap::hangs}) {
    for (const auto undo : {Mishap::none, Mishap::refused, Mishap::deaf, Mishap::hangs}) {
      for (const char* undo_command : {"make_writable", "make_read_only"}) {
        Scenario world(servers(3));
        world.run_for(1s);
        world.spoil(1, "promote", how);
        const bool on_old = std::string_view(undo_command) == "make_writable";
        if (undo != Mishap::none) world.spoil(on_old ? 0 : 1, undo_command, undo);
        const auto request = world.switchover(1);
        ASSERT_TRUE(world.run_until_answered(request, 40s));
        EXPECT_FALSE(world.answered_ok(request));
        EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 40s))
            << static_cast<int>(how) << undo_command << static_cast<int>(undo) << ": "
            << world.core().reason();
        EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
      }
    }
  }
}

// The old primary, or the target, is lost at any moment of the switchover, in any way, and comes back later,
// writable or read-only, or never: exactly one primary in the end.
TEST(Switchover, ServersAreLostAtEachMoment) {
  enum class Loss { crash, freeze, power };
  for (const std::size_t who : {0U, 1U}) {
    for (const auto loss : {Loss::crash, Loss::freeze, Loss::power}) {
      for (int moment = 0; moment <= 36; moment += 2) {
        for (const bool read_only : {true, false}) {
          WorldOptions options;
          options.servers = 3;
          options.apply_time = 3ms;
          Scenario world(options);
          world.run_for(1s);
          const auto request = world.switchover(1);
          world.run_for(1ms * moment);
          if (loss == Loss::crash) world.crash(who);
          if (loss == Loss::freeze) world.freeze(who);
          if (loss == Loss::power) world.power_off(who);
          ASSERT_TRUE(world.run_until_answered(request, 60s));
          EXPECT_TRUE(world.run_until([&] { return world.routed().has_value(); }, 60s))
              << world.core().reason();
          if (loss == Loss::freeze) {
            world.thaw(who);
          } else {
            world.start(who, read_only);
          }
          EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 60s))
              << who << static_cast<int>(loss) << " at " << moment << ": " << world.core().reason();
          EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
        }
      }
    }
  }
}

// The old primary dies while it is asked to become read-only: the failover follows without waiting for what
// can no longer be undone.
TEST(Switchover, DeadOldPrimaryIsFailedOverAtOnce) {
  Scenario world;
  world.run_for(1s);
  world.switchover(1);
  ASSERT_TRUE(world.run_until_changing());
  world.run_for(2500us);
  const Instant died = world.now();
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 10s));
  EXPECT_LT(world.now() - died, 500ms);
}

// A replica that cannot follow after the switchover is named in the answer, and taken care of later.
TEST(Switchover, TroubleWithTheOthersIsToldAndRepaired) {
  Scenario world(servers(3));
  world.spoil(2, "follow", Mishap::refused, 2);
  const auto request = world.switchover(1);
  ASSERT_TRUE(world.run_until_answered(request));
  EXPECT_TRUE(world.answered_ok(request));
  EXPECT_TRUE(contains(world.answer_text(request), "db3")) << world.answer_text(request);
  EXPECT_TRUE(world.run_until_steady(10s));
}

// failback = true: when the old primary is back and well, it gets its role again, once.
TEST(Switchover, Failback) {
  WorldOptions options;
  options.configure = [](conf::Config& c) { c.failover.failback = true; };
  Scenario world(options);
  world.crash(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 5s));
  world.run_for(5s);
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 10s));
  ASSERT_TRUE(world.run_until_steady(10s));
  EXPECT_EQ(world.records("switchover").size(), 1U);
  world.run_for(60s);
  EXPECT_EQ(world.routed(), 0U);
  EXPECT_EQ(world.records("switchover").size(), 1U);
  EXPECT_TRUE(world.missing_on(0, world.acknowledged()).empty());
}

}  // namespace
}  // namespace pointsman::sim
