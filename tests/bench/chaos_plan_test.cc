#include "bench/chaos_plan.h"

#include <set>

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

using Millis = std::chrono::milliseconds;

std::vector<FaultKind> all() {
  return {all_fault_kinds.begin(), all_fault_kinds.end()};
}

std::string written(const RoundPlan& round) {
  std::string text = round.supervised ? "supervised" : "left";
  for (const Fault& fault : round.faults) {
    text += "; " + describe(fault) + " way " + std::to_string(static_cast<int>(fault.way)) + " at " +
            std::to_string(fault.at.count()) + " for " + std::to_string(fault.hold.count());
  }
  return text;
}

std::vector<std::string> written(std::uint64_t seed, unsigned rounds) {
  ChaosPlan plan(seed, all());
  std::vector<std::string> text;
  for (unsigned i = 0; i < rounds; ++i) text.push_back(written(plan.next()));
  return text;
}

// A failure of another day, and of another machine, is played again by its seed.
TEST(ChaosPlan, OneSeedIsOneStory) {
  EXPECT_EQ(written(7, 200), written(7, 200));
  EXPECT_NE(written(7, 200), written(8, 200));
}

// Those who wait for three minutes see nearly everything.
TEST(ChaosPlan, EachFaultComesOnceBeforeOneComesAgain) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    ChaosPlan plan(seed, all());
    std::multiset<FaultKind> seen;
    while (seen.size() < all_fault_kinds.size()) {
      for (const Fault& fault : plan.next().faults) seen.insert(fault.kind);
    }
    const std::set<FaultKind> kinds(seen.begin(), seen.end());
    EXPECT_GE(kinds.size() + 1, all_fault_kinds.size()) << "seed " << seed;  // a second one may begin anew
  }
}

TEST(ChaosPlan, DrawsPairsVictimsAndTimes) {
  ChaosPlan plan(1, all());
  unsigned pairs = 0;
  std::set<std::string> names;
  std::set<CutWay> ways;
  for (unsigned i = 0; i < 2000; ++i) {
    const RoundPlan round = plan.next();
    ASSERT_FALSE(round.faults.empty());
    ASSERT_LE(round.faults.size(), 2U);
    if (round.faults.size() == 2) {
      ++pairs;
      EXPECT_TRUE(may_coincide(round.faults[0], round.faults[1])) << round.name();
    }
    for (const Fault& fault : round.faults) {
      names.insert(describe(fault));
      ways.insert(fault.way);
      EXPECT_LT(fault.at, Millis(2500));
      EXPECT_GE(fault.hold, Millis(200));
      EXPECT_LT(fault.hold, Millis(4400));
    }
  }
  EXPECT_GT(pairs, 400U);
  EXPECT_LT(pairs, 900U);
  EXPECT_EQ(ways.size(), 4U);
  // Eight have a primary and a replica as victim, five have none.
  EXPECT_EQ(names.size(), 21U);
}

TEST(ChaosPlan, DrawsOnlyWhatIsAskedFor) {
  ChaosPlan plan(3, {FaultKind::kill, FaultKind::switchover});
  for (unsigned i = 0; i < 200; ++i) {
    for (const Fault& fault : plan.next().faults)
      EXPECT_TRUE(fault.kind == FaultKind::kill || fault.kind == FaultKind::switchover) << describe(fault);
  }
}

TEST(ChaosPlan, APairSharesNoCableAndNoProcess) {
  const auto fault = [](FaultKind kind, Victim victim = Victim::nobody) {
    return Fault{.kind = kind, .victim = victim};
  };
  const auto on_primary = [&](FaultKind kind) { return fault(kind, Victim::primary); };
  const auto on_replica = [&](FaultKind kind) { return fault(kind, Victim::replica); };
  EXPECT_FALSE(may_coincide(on_primary(FaultKind::kill), on_primary(FaultKind::freeze)));
  EXPECT_TRUE(may_coincide(on_primary(FaultKind::kill), on_replica(FaultKind::freeze)));
  EXPECT_TRUE(may_coincide(on_primary(FaultKind::kill), on_replica(FaultKind::kill)));
  EXPECT_FALSE(may_coincide(on_primary(FaultKind::cut_off), on_primary(FaultKind::cut_serial)));
  EXPECT_FALSE(may_coincide(fault(FaultKind::isolate_proxy), on_replica(FaultKind::cut_eth0)));
  EXPECT_FALSE(may_coincide(on_replica(FaultKind::kill_host), fault(FaultKind::cut_replication)));
  EXPECT_FALSE(may_coincide(fault(FaultKind::kill_daemon), fault(FaultKind::kill_daemon)));
  EXPECT_TRUE(may_coincide(fault(FaultKind::kill_daemon), fault(FaultKind::switchover)));
  // Nobody is left who could end the writes of that host.
  for (const FaultKind kind : {FaultKind::freeze, FaultKind::cut_eth0, FaultKind::cut_off}) {
    EXPECT_FALSE(may_coincide(on_primary(FaultKind::kill_agent), on_primary(kind)));
    EXPECT_FALSE(may_coincide(on_primary(kind), on_primary(FaultKind::kill_agent)));
    EXPECT_TRUE(may_coincide(on_primary(kind), on_replica(FaultKind::kill_agent)));
  }
}

TEST(ChaosPlan, NamesAreReadBack) {
  for (const FaultKind kind : all_fault_kinds) EXPECT_EQ(parse_fault_kind(to_string(kind)), kind);
  const auto none = parse_fault_kind("flood");
  ASSERT_FALSE(none.has_value());
  EXPECT_TRUE(none.error().contains("cut-replication")) << none.error();
}

}  // namespace
}  // namespace pointsman::bench
