#include <gtest/gtest.h>

#include "bench/chaos.h"

namespace pointsman::bench {
namespace {

ChaosRound round_of(const std::string& faults, double gap_ms, std::size_t acknowledged,
                    std::size_t missing = 0) {
  ChaosRound round;
  round.faults = faults;
  round.primary_before = "db1";
  round.primary_after = faults == "kill primary" ? "db2" : "db1";
  round.count = {.acknowledged = acknowledged, .rows = acknowledged + 1, .missing = missing};
  round.gap_ms = gap_ms;
  round.passed = missing == 0;
  return round;
}

TEST(ChaosReport, CountsByFault) {
  ChaosOptions options;
  options.seed = 42;
  ChaosResult result;
  result.rounds = {round_of("kill primary", 100, 1000), round_of("kill primary", 300, 2000),
                   round_of("cut-serial replica", 10, 500),
                   round_of("freeze primary + kill-daemon", 4000, 100),
                   round_of("kill-daemon + switchover", 900, 100, 7)};
  const auto json = to_json(options, result);
  EXPECT_EQ(json["seed"], 42);
  EXPECT_EQ(json["rounds"].size(), 5U);
  EXPECT_EQ(json["total"]["rounds"], 5);
  EXPECT_EQ(json["total"]["passed"], 4);
  EXPECT_EQ(json["total"]["acknowledged"], 3700);
  EXPECT_EQ(json["total"]["missing"], 7);
  const auto& killed = json["faults"]["kill primary"];
  EXPECT_EQ(killed["rounds"], 2);
  EXPECT_EQ(killed["moved"], 2);
  EXPECT_EQ(killed["gap_ms"]["median"], 200);
  EXPECT_EQ(killed["gap_ms"]["max"], 300);
  EXPECT_EQ(json["faults"]["two at once"]["rounds"], 2);
  // A round that failed has no end, so no gap.
  EXPECT_EQ(json["faults"]["two at once"]["gap_ms"]["max"], 4000);

  const std::string text = chaos_text(options, result);
  EXPECT_TRUE(text.contains("kill primary")) << text;
  EXPECT_TRUE(text.contains("3,700")) << text;
  EXPECT_TRUE(text.contains("--seed 42")) << text;
}

TEST(ChaosReport, TheCommandPlaysTheSameAgain) {
  ChaosOptions options;
  options.product = testbed::Product::mysql;
  options.seed = 9;
  options.kinds = {FaultKind::kill, FaultKind::cut_off};
  options.writers = 3;
  EXPECT_TRUE(
      chaos_text(options, {})
          .contains("pointsman-bench chaos --product mysql --seed 9 --writers 3 --faults kill,cut-off\n"))
      << chaos_text(options, {});
}

}  // namespace
}  // namespace pointsman::bench
