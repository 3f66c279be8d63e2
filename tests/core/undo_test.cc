// A switchover that fails at any step before the promotion leaves no trace: the old primary takes writes, has
// its role in semi-sync and runs its scheduled events, the others follow it.
#include <set>

#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;
using Step = Change::Step;

struct Injection {
  Step step;  // in which it fails
  const char* name;
  std::function<void(Scenario&)> before;   // the switchover
  std::function<void(Scenario&)> at_step;  // when the step is entered
  std::function<void(Scenario&)> heal;
};

void refuse(Scenario& w, std::size_t i, const char* command, Mishap how) {
  w.spoil(i, command, how);
}

// A last transaction, of a client past the proxy, that the target does not get to apply.
void leave_unapplied(Scenario& w) {
  w.stop_applying(1, true);
  w.write_directly(0);
}

const Injection injections[] = {
    {Step::close_route,
     "no worker confirms the route",
     [](Scenario& w) { w.hold_routes(true); },
     {},
     [](Scenario& w) { w.hold_routes(false); }},
    {Step::close_route,
     "the state cannot be stored",
     [](Scenario& w) { w.spoil_store("No space left on device"); },
     {},
     [](Scenario& w) { w.spoil_store(""); }},
    {Step::close_route,
     "the state is not stored in time",
     [](Scenario& w) { w.hold_store(true); },
     {},
     [](Scenario& w) { w.hold_store(false); }},
    {Step::close_route, "the target dies", [](Scenario& w) { w.hold_routes(true); },
     [](Scenario& w) { w.crash(1); },
     [](Scenario& w) {
       w.hold_routes(false);
       w.start(1);
     }},
    {Step::read_only,
     "is refused",
     [](Scenario& w) { refuse(w, 0, "make_read_only", Mishap::refused); },
     {},
     {}},
    {Step::read_only,
     "is done, and the answer is lost",
     [](Scenario& w) { refuse(w, 0, "make_read_only", Mishap::deaf); },
     {},
     {}},
    {Step::read_only, "hangs", [](Scenario& w) { refuse(w, 0, "make_read_only", Mishap::hangs); }, {}, {}},
    {Step::read_only, "the target dies", [](Scenario& w) { refuse(w, 0, "make_read_only", Mishap::hangs); },
     [](Scenario& w) { w.crash(1); }, [](Scenario& w) { w.start(1); }},
    {Step::catch_up, "the target does not apply", {}, {}, [](Scenario& w) { w.stop_applying(1, false); }},
    {Step::catch_up,
     "the target's applier breaks",
     {},
     [](Scenario& w) { w.server(1).replication->sql_errno = 1062; },
     [](Scenario& w) {
       w.stop_applying(1, false);
       w.server(1).replication->sql_errno = 0;
     }},
    {Step::catch_up,
     "the target dies",
     {},
     [](Scenario& w) { w.crash(1); },
     [](Scenario& w) {
       w.stop_applying(1, false);
       w.start(1);
     }},
    {Step::catch_up,
     "the target freezes",
     {},
     [](Scenario& w) { w.freeze(1); },
     [](Scenario& w) {
       w.stop_applying(1, false);
       w.thaw(1);
     }},
    {Step::promote,
     "the target is not well when it is to be sent",
     {},
     [](Scenario& w) {
       w.tell(
           ProbeFailed{BackendId{1}, {FailureKind::timeout, 0, "probe of db2: no answer in time"}, w.now()});
       w.stop_applying(1, false);
     },
     {}},
    {Step::promote, "is refused", [](Scenario& w) { refuse(w, 1, "promote", Mishap::refused); }, {}, {}},
    {Step::promote, "is half done", [](Scenario& w) { refuse(w, 1, "promote", Mishap::half); }, {}, {}},
    {Step::promote,
     "is done, and the answer is lost",
     [](Scenario& w) { refuse(w, 1, "promote", Mishap::deaf); },
     {},
     {}},
    {Step::promote, "hangs", [](Scenario& w) { refuse(w, 1, "promote", Mishap::hangs); }, {}, {}},
};

// Whether the step is to be left to the injection: the target has something to apply then.
bool stands_in_catch_up(const Injection& injection) {
  return injection.step == Step::catch_up ||
         std::string_view(injection.name).starts_with("the target is not well");
}

TEST(Undo, EachStepHasAnInjection) {
  std::set<std::string> injected;
  for (const auto& injection : injections) injected.insert(to_string(injection.step));
  for (const auto& planned : Change::plan(Change::Kind::switchover, "db1", "db2")) {
    if (planned.step == to_string(Step::route)) break;  // from there on nothing fails it any more
    EXPECT_TRUE(injected.contains(planned.step)) << planned.step;
  }
}

TEST(Undo, LeavesNoTrace) {
  for (const auto semi_sync : {conf::SemiSync::required, conf::SemiSync::preferred, conf::SemiSync::off}) {
    for (const auto& injection : injections) {
      const std::string what = std::string(to_string(injection.step)) + ": " + injection.name +
                               ", semi_sync " + std::to_string(static_cast<int>(semi_sync));
      WorldOptions options;
      options.configure = [semi_sync](conf::Config& c) { c.replication.semi_sync = semi_sync; };
      options.set = [](std::vector<ModelServer>& servers) {
        servers[0].events_exist = servers[0].events_enabled = servers[0].event_scheduler = true;
      };
      Scenario world(options);
      world.run_for(1s);
      const bool source = world.server(0).semi_sync_source;
      const bool active = world.server(0).semi_sync_active;
      if (injection.before) injection.before(world);
      const auto request = world.switchover(1);
      ASSERT_TRUE(world.run_until_changing()) << what;
      if (stands_in_catch_up(injection)) leave_unapplied(world);
      const auto at = stands_in_catch_up(injection) ? Step::catch_up : injection.step;
      ASSERT_TRUE(world.run_until(
          [&] { return world.core().change() == nullptr || world.core().change()->step() == at; }, 10s))
          << what;
      if (injection.at_step) injection.at_step(world);
      ASSERT_TRUE(world.run_until_answered(request, 40s)) << what;
      EXPECT_FALSE(world.answered_ok(request)) << what;
      const std::string failed = std::string("failed: ") + to_string(injection.step) + ": ";
      EXPECT_TRUE(contains(world.answer_text(request), failed)) << what << ": " << world.answer_text(request);
      if (injection.heal) injection.heal(world);
      world.spoil_nothing(0);
      world.spoil_nothing(1);
      EXPECT_TRUE(
          world.run_until([&] { return serviceable(world) && !world.core().cluster().events_due; }, 20s))
          << what << ": " << world.core().reason();
      EXPECT_EQ(world.routed(), 0U) << what;
      EXPECT_TRUE(world.server(0).event_scheduler) << what;
      EXPECT_TRUE(world.server(0).events_enabled) << what;
      EXPECT_FALSE(world.server(1).events_enabled) << what;
      EXPECT_TRUE(world.run_until(
          [&] {
            return world.server(0).semi_sync_source == source && world.server(0).semi_sync_active == active;
          },
          20s))
          << what;
      EXPECT_TRUE(world.run_until([&] { return !world.stored().change && !world.stored().events_due; }, 5s))
          << what;
      EXPECT_TRUE(world.missing_on(0, world.acknowledged()).empty()) << what;
      ASSERT_TRUE(world.run_until_steady(20s)) << what;
      world.run_for(1s);
      const auto again = world.switchover(1);
      ASSERT_TRUE(world.run_until_answered(again, 20s)) << what;
      EXPECT_TRUE(world.answered_ok(again)) << what << ": " << world.answer_text(again);
    }
  }
}

// The same daemon is killed at any moment of such an undoing, or of a switchover that succeeds: whoever is
// primary in the end runs the scheduled events, and nobody else does; nor has anybody else the primary's role
// in semi-sync.
TEST(Undo, EventsAreRunOnceWhateverIsKilled) {
  for (const bool promotion_fails : {false, true}) {
    for (const bool forgets_late : {false, true}) {
      for (auto moment = 0us; moment <= 60ms; moment += 500us) {
        WorldOptions options;
        options.set = [forgets_late](std::vector<ModelServer>& servers) {
          servers[0].events_exist = servers[0].events_enabled = servers[0].event_scheduler = true;
          for (auto& server : servers) server.forgets_late = server.kills_applier = forgets_late;
        };
        Scenario world(options);
        world.run_for(1s);
        if (promotion_fails) world.spoil(1, "promote", Mishap::refused);
        world.switchover(1);
        ASSERT_TRUE(world.run_until_changing());
        world.run_for(moment);
        world.kill_daemon();
        world.spoil_nothing(1);
        world.start_daemon();
        const std::string what = "killed after " + std::to_string(moment.count()) + " us";
        ASSERT_TRUE(world.run_until([&] { return serviceable(world) && !world.stored().events_due; }, 20s))
            << what << ": " << world.core().reason();
        ASSERT_TRUE(world.run_until([&] { return world.stored().following.empty(); }, 20s)) << what;
        for (std::size_t i = 0; i < world.size(); ++i) {
          const bool primary = world.routed() == i;
          EXPECT_EQ(world.server(i).events_enabled, primary) << what;
          EXPECT_EQ(world.server(i).event_scheduler, primary) << what;
          // As a replica it would wait with each transaction that it applies for a replica of its own.
          EXPECT_EQ(world.server(i).semi_sync_source, primary) << what;
        }
      }
    }
  }
}

// An order to become read-only that an earlier daemon gave waits for a lock, and is carried out when the next
// one has found the primary writable: it is taken back. A person's is not, once that can no longer be.
TEST(Undo, TakesBackALateOrder) {
  Scenario world;
  world.switchover(1);
  ASSERT_TRUE(world.run_until(
      [&] { return world.core().change() != nullptr && world.core().change()->step() == Step::read_only; }));
  world.spoil(0, "make_read_only", Mishap::hangs);
  world.run_for(100us);
  world.kill_daemon();
  world.start_daemon();
  ASSERT_TRUE(world.run_until_steady(2s));
  ASSERT_EQ(world.routed(), 0U);
  ASSERT_TRUE(world.server(0).accepts_writes());
  world.server(0).read_only = true;
  EXPECT_TRUE(world.run_until([&] { return world.server(0).accepts_writes(); }, 2s)) << world.core().reason();
  world.run_for(15s);
  world.server(0).read_only = true;
  world.run_for(10s);
  EXPECT_FALSE(world.server(0).accepts_writes());
}

}  // namespace
}  // namespace pointsman::sim
