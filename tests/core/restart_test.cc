// The daemon is killed at any moment and started again: it ends serviceable with one primary, or in an
// ambiguity that it states, and there are never two.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace pointsman::sim {
namespace {

using namespace core;

enum class Old { never, read_only, writable };
const char* to_string(Old old) {
  return old == Old::never ? "never back" : old == Old::read_only ? "back read-only" : "back writable";
}

// Kills the daemon right after the `n`-th event that a change of primary was given, before or after its
// actions were performed. False: there were not so many.
bool kill_at(Scenario& world, unsigned n, bool before_actions) {
  unsigned seen = 0;
  bool kill = false;
  world.on_step = [&](const Event& event, const Actions& actions) {
    const bool news =
        world.core().change() != nullptr || std::ranges::any_of(actions, [](const Action& action) {
          const auto* record = std::get_if<Record>(&action);
          return record != nullptr && record->record.is_change();
        });
    if (!news || (std::holds_alternative<Tick>(event) && actions.empty())) return;
    if (++seen == n) kill = true;
    if (kill && before_actions) world.kill_daemon();
  };
  const bool killed =
      world.run_until([&] { return kill || (world.changed() && world.core().change() == nullptr); }, 20s) &&
      kill;
  world.on_step = nullptr;
  if (killed && world.daemon_runs()) world.kill_daemon();
  return killed;
}

// One primary and everybody in his place; or nobody routed, and it is said how to resolve it, and that
// resolves it.
void expect_serviceable_or_stated(Scenario& world, const std::string& what, bool may_be_ambiguous) {
  if (world.run_until([&] { return serviceable(world); }, 20s)) return;
  const std::string reason = world.core().reason();
  ASSERT_TRUE(may_be_ambiguous) << what << ": " << reason;
  const auto at = reason.find("pointsman failover --to ");
  ASSERT_NE(at, std::string::npos) << what << ": " << reason;
  const auto to = world.core().cluster().find(reason.substr(at + 24, 3));
  ASSERT_TRUE(to) << what << ": " << reason;
  EXPECT_FALSE(world.routed()) << what;
  const auto request = world.failover(index(*to), true);
  ASSERT_TRUE(world.run_until_answered(request)) << what;
  EXPECT_TRUE(world.answered_ok(request)) << what << ": " << world.answer_text(request);
  EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s))
      << what << ": " << world.core().reason();
}

// A failover, killed after each of its events; the old primary stays away, or is back before the new daemon
// starts.
TEST(Restart, DuringEachStepOfAFailover) {
  for (const std::size_t servers : {2U, 3U}) {
    for (const Old old : {Old::never, Old::read_only, Old::writable}) {
      for (const bool before : {false, true}) {
        for (unsigned n = 1;; ++n) {
          WorldOptions options;
          options.servers = servers;
          options.apply_time = 2ms;
          Scenario world(options);
          world.run_for(1s);
          world.crash(0);
          if (!kill_at(world, n, before)) {
            EXPECT_GT(n, 5U);
            break;
          }
          const std::string what = std::to_string(servers) + " servers, event " + std::to_string(n) +
                                   (before ? " before its actions, " : ", ") + to_string(old);
          world.run_for(2s);
          if (old != Old::never) world.start(0, old == Old::read_only);
          world.start_daemon();
          if (old == Old::never) {
            EXPECT_TRUE(world.run_until([&] { return world.routed() == 1U; }, 20s))
                << what << ": " << world.core().reason();
            continue;
          }
          expect_serviceable_or_stated(world, what, false);
          EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty()) << what;
        }
      }
    }
  }
}

// The same with the candidate gone as well when the new daemon starts: what it may have become cannot be
// known.
TEST(Restart, DuringAFailoverWithTheCandidateGone) {
  for (const Old old : {Old::read_only, Old::writable}) {
    for (unsigned n = 1;; ++n) {
      Scenario world;
      world.run_for(1s);
      world.crash(0);
      if (!kill_at(world, n, false)) break;
      world.run_for(1s);
      world.power_off(1);
      world.start(0, old == Old::read_only);
      world.start_daemon();
      world.run_for(5s);
      const std::string what =
          "event " + std::to_string(n) + ", " + to_string(old) + ": " + world.core().reason();
      if (world.stored().change) {
        EXPECT_FALSE(world.routed()) << what;
        EXPECT_TRUE(
            contains(world.core().reason(), "db2, which may have been promoted by it, does not answer"))
            << what;
      }
      world.start(1);
      EXPECT_TRUE(world.run_until([&] { return serviceable(world); }, 20s)) << what;
      EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty()) << what;
    }
  }
}

// A switchover, killed after each of its events; nobody else fails, or the old primary is restarted
// meanwhile.
TEST(Restart, DuringEachStepOfASwitchover) {
  for (const std::size_t servers : {2U, 3U}) {
    for (const Old old : {Old::never, Old::read_only, Old::writable}) {  // never: it was not restarted at all
      for (const bool before : {false, true}) {
        for (unsigned n = 1;; ++n) {
          WorldOptions options;
          options.servers = servers;
          options.apply_time = 2ms;
          Scenario world(options);
          world.run_for(1s);
          world.switchover(1);
          if (!kill_at(world, n, before)) {
            EXPECT_GT(n, 5U);
            break;
          }
          const std::string what = std::to_string(servers) + " servers, event " + std::to_string(n) +
                                   (before ? " before its actions, " : ", ") + to_string(old);
          world.run_for(2s);
          if (old != Old::never) {
            world.crash(0);
            world.start(0, old == Old::read_only);
          }
          world.start_daemon();
          expect_serviceable_or_stated(world, what, false);
          EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty()) << what;
        }
      }
    }
  }
}

// A switchover whose promotion fails, killed after each event of the undoing.
TEST(Restart, DuringTheUndoingOfASwitchover) {
  for (const auto how : {Mishap::refused, Mishap::half, Mishap::deaf}) {
    for (unsigned n = 1;; ++n) {
      Scenario world;
      world.run_for(1s);
      world.spoil(1, "promote", how);
      world.switchover(1);
      if (!kill_at(world, n, false)) break;
      world.run_for(1s);
      world.start_daemon();
      expect_serviceable_or_stated(
          world, "event " + std::to_string(n) + " mishap " + std::to_string(static_cast<int>(how)), false);
      EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
    }
  }
}

// Both hosts lose power in the middle of a change, and everything comes back read-only.
TEST(Restart, PowerCutDuringAChange) {
  for (const bool planned : {false, true}) {
    for (unsigned n = 1;; ++n) {
      Scenario world;
      world.run_for(1s);
      planned ? static_cast<void>(world.switchover(1)) : world.crash(0);
      if (!kill_at(world, n, false)) break;
      world.run_for(500ms);
      for (const std::size_t i : {0U, 1U}) {
        world.power_off(i);
        world.start(i, true);
      }
      world.start_daemon();
      expect_serviceable_or_stated(
          world, (planned ? "switchover" : "failover") + std::string(", event ") + std::to_string(n), true);
    }
  }
}

// A replica's receiver was stopped by a failover that its daemon did not survive: it goes on, mark or no
// mark.
TEST(Restart, StoppedReceiversGoOn) {
  Scenario world;
  world.spoil_store("No space left on device");
  world.server(1).stop_receiving();
  world.kill_daemon();
  world.start_daemon();
  EXPECT_TRUE(world.run_until([&] { return world.server(1).replication->receiver_wanted; }, 5s));
}

// What operators set survives: automatic, maintenance, pause.
TEST(Restart, OperatorsWordsSurvive) {
  WorldOptions options;
  options.servers = 3;
  Scenario world(options);
  world.automatic(false);
  world.maintenance(2, true);
  world.pause(true);
  world.run_for(1s);
  world.kill_daemon();
  world.run_for(1s);
  world.start_daemon();
  world.run_for(2s);
  EXPECT_FALSE(world.core().cluster().automatic);
  EXPECT_TRUE(world.view(2).maintenance);
  EXPECT_EQ(world.core().state(), State::paused);
  EXPECT_EQ(world.core().route().mode, RouteMode::holding);
  world.pause(false);
  world.automatic(true);
  world.maintenance(2, false);
  world.run_for(1s);
  EXPECT_EQ(world.routed(), 0U);
  world.kill_daemon();
  world.start_daemon();
  world.run_for(2s);
  EXPECT_TRUE(world.core().cluster().automatic);
  EXPECT_FALSE(world.view(2).maintenance);
  EXPECT_EQ(world.routed(), 0U);
}

// A restart of a healthy cluster's daemon changes nothing: no new epoch, no command.
TEST(Restart, OfAHealthyClusterChangesNothing) {
  Scenario world;
  const auto epoch = world.epoch();
  const auto commands = world.commands_sent(0, "make_writable") + world.commands_sent(1, "follow");
  for (int i = 0; i < 3; ++i) {
    world.kill_daemon();
    world.run_for(100ms);
    world.start_daemon();
    EXPECT_TRUE(world.run_until_steady(1s));
  }
  EXPECT_EQ(world.epoch(), epoch);
  EXPECT_EQ(world.commands_sent(0, "make_writable") + world.commands_sent(1, "follow"), commands);
}

// The replica is down when the daemon is restarted: the primary of record serves after deadtime at the
// latest.
TEST(Restart, WithADeadReplica) {
  Scenario world;
  world.run_for(1s);
  world.kill_daemon();
  world.power_off(1);
  world.start_daemon();
  EXPECT_TRUE(world.run_until([&] { return world.routed() == 0U; }, 1500ms));
}

// Under `required` the daemon is restarted while the primary is dead, and of two replicas only one answers:
// the other may have acknowledged what this one lacks.
TEST(Restart, DoesNotForgetThatAcknowledgementsWereRequired) {
  WorldOptions options;
  options.servers = 3;
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::required; };
  Scenario world(options);
  world.cut_replication(2);
  world.run_for(2s);
  world.kill_daemon();
  world.crash(0);
  world.power_off(1);
  world.start_daemon();
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 may have acknowledged")) << world.core().reason();
  world.start(1);
  world.run_for(10s);
  EXPECT_FALSE(world.routed());
  EXPECT_TRUE(contains(world.core().reason(), "db2 was started")) << world.core().reason();
  world.start(0);
  ASSERT_TRUE(world.run_until([&] { return world.routed().has_value(); }, 10s)) << world.core().reason();
  EXPECT_TRUE(world.missing_on(*world.routed(), world.acknowledged_by_replica()).empty());
}

// A daemon that takes the place of another one grants the primary its lease at once, also while it does not
// know yet what a dead replica is, which takes longer than the lease.
TEST(Takeover, BesideADeadReplica) {
  WorldOptions options;
  options.links = {LinkKind::udp, LinkKind::serial};
  options.configure = [](conf::Config& c) { c.replication.semi_sync = conf::SemiSync::off; };
  Scenario world(options);
  world.power_off(1);
  world.run_for(3s);
  for (int i = 0; i < 3; ++i) {
    const auto before = world.core().cluster().epoch;
    world.take_over_daemon();
    EXPECT_FALSE(world.run_until([&] { return !world.server(0).accepts_writes(); }, 3s));
    EXPECT_EQ(world.routed(), 0U) << world.core().reason();
    EXPECT_EQ(world.core().cluster().epoch, before);
  }
}

}  // namespace
}  // namespace pointsman::sim
