// Thousands of small worlds in which anything may go wrong: whatever a seed makes happen, the invariants of
// world_checks.cc and lease_checks.cc hold after each event, and when the faults are over the cluster serves
// again with one primary.
//
// POINTSMAN_SEED=n runs one world and tells its story; POINTSMAN_WORLDS says how many, POINTSMAN_FIRST from
// which seed on, POINTSMAN_STORY=1 tells the story of each that fails.
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/trial.h"

namespace pointsman::sim {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t slower = 10;
#else
constexpr std::uint64_t slower = 1;
#endif

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

void tell_story(Trial::Kind kind, std::uint64_t seed) {
  Trial again(kind, seed, true);
  again.run();
  std::string text;
  for (const auto& line : again.world().trace()) text += line + "\n";
  const std::size_t most = number_from("POINTSMAN_TRACE", 150000);
  if (text.size() > most) text = "...\n" + text.substr(text.size() - most);
  GTEST_LOG_(INFO) << "seed " << seed << ":\n" << text;
}

void run_worlds(Trial::Kind kind, std::uint64_t default_worlds) {
  const std::uint64_t only = number_from("POINTSMAN_SEED", 0);
  const std::uint64_t worlds = only != 0 ? 1 : number_from("POINTSMAN_WORLDS", default_worlds / slower);
  const std::uint64_t first = only != 0 ? only : number_from("POINTSMAN_FIRST", 1);
  std::uint64_t by_operators = 0;
  std::map<std::string, std::pair<unsigned, std::uint64_t>> kinds;
  for (std::uint64_t seed = first; seed < first + worlds; ++seed) {
    Trial trial(kind, seed, false);
    trial.run();
    if (!trial.served_by_itself) {
      ++by_operators;
      if (number_from("POINTSMAN_VERBOSE", 0) != 0)
        GTEST_LOG_(INFO) << "seed " << seed << " needed an operator: " << trial.needed;
    }
    for (const auto& problem : trial.problems) {
      auto& count = kinds[problem.substr(0, 60)];
      if (count.first++ == 0) {
        count.second = seed;
        ADD_FAILURE() << "POINTSMAN_SEED=" << seed << ": " << problem;
      }
    }
    if (only != 0) tell_story(kind, seed);
  }
  for (const auto& [problem, count] : kinds)
    GTEST_LOG_(INFO) << count.first << " times, first seed " << count.second << ": " << problem;
  GTEST_LOG_(INFO) << worlds << " worlds, " << by_operators << " needed an operator";
}

TEST(RandomWorlds, WithoutAgentsServeAgainAfterAnyFaults) {
  run_worlds(Trial::Kind::without_agents, 3000);
}

TEST(RandomWorlds, WithAgentsServeAgainAfterAnyFaults) {
  run_worlds(Trial::Kind::with_agents, 10000);
}

}  // namespace
}  // namespace pointsman::sim
