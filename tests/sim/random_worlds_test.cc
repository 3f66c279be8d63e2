// Thousands of small worlds in which anything may go wrong: whatever a seed makes happen, the invariants of
// world_checks.cc and lease_checks.cc hold after each event, and when the faults are over the cluster serves
// again with one primary.
//
//   tests/sim/replay SEED [without-agents]   runs one world and tells its story
//
// POINTSMAN_SEED=n does that by hand, for the test OfARandomSeed. POINTSMAN_STORY=1 tells the story of each
// world that fails, POINTSMAN_WORLDS=n makes each shard as large, POINTSMAN_FIRST=n says from which seed on,
// and POINTSMAN_VERBOSE=1 tells which worlds needed an operator, and why.
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/trial.h"

namespace pointsman::sim {
namespace {

using Kind = Trial::Kind;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t slower = 10;  // thirty times, in truth
#else
constexpr std::uint64_t slower = 1;
#endif
// Each is a test of its own, so that they run beside one another.
constexpr std::uint64_t shards_with_agents = 8;
constexpr std::uint64_t shards_without_agents = 2;
constexpr std::uint64_t worlds_with_agents = 10'000 / shards_with_agents / slower;
constexpr std::uint64_t worlds_without_agents = 3000 / shards_without_agents / slower;
constexpr std::uint64_t worlds_of_a_random_seed = 50 / slower;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string replay_of(Kind kind, std::uint64_t seed) {
  return "tests/sim/replay " + std::to_string(seed) + (kind == Kind::with_agents ? "" : " without-agents");
}

void tell_story(Kind kind, std::uint64_t seed) {
  Trial again(kind, seed, true);
  again.run();
  std::cout << "The world of seed " << seed << ":\n";
  for (const auto& line : again.world().trace()) std::cout << line << '\n';
  for (const auto& problem : again.problems) std::cout << "WRONG: " << problem << '\n';
  std::cout << std::flush;
}

// Tells the first world that failed in each way, and how many did.
void run_worlds(Kind kind, std::uint64_t first, std::uint64_t worlds, bool stories) {
  std::uint64_t by_operators = 0;
  std::map<std::string, std::pair<unsigned, std::uint64_t>> kinds;
  for (std::uint64_t seed = first; seed < first + worlds; ++seed) {
    Trial trial(kind, seed, false);
    trial.run();
    if (!trial.served_by_itself) {
      ++by_operators;
      if (number_from("POINTSMAN_VERBOSE", 0) != 0)
        std::cout << "seed " << seed << " needed an operator: " << trial.needed << std::endl;
    }
    bool news = false;
    for (const auto& problem : trial.problems) {
      auto& count = kinds[problem.substr(0, 60)];
      if (count.first++ > 0) continue;
      count.second = seed;
      news = true;
      ADD_FAILURE() << "seed " << seed << ": " << problem << "\nreplay: " << replay_of(kind, seed);
    }
    if (stories && (news || worlds == 1)) tell_story(kind, seed);
  }
  for (const auto& [problem, count] : kinds)
    std::cout << count.first << " times, first seed " << count.second << ": " << problem << '\n';
  std::cout << worlds << " worlds, " << by_operators << " needed an operator" << std::endl;
}

void run_shard(Kind kind, std::uint64_t shard, std::uint64_t usual) {
  const std::uint64_t worlds = number_from("POINTSMAN_WORLDS", usual);
  run_worlds(kind, number_from("POINTSMAN_FIRST", 1) + shard * worlds, worlds,
             number_from("POINTSMAN_STORY", 0) != 0);
}

void run_random_seed(Kind kind) {
  if (const std::uint64_t only = number_from("POINTSMAN_SEED", 0); only != 0)
    return run_worlds(kind, only, 1, true);
  std::random_device device;
  const std::uint64_t seed = 1'000'000 + device() % 1'000'000'000;
  std::cout << "from a random seed on: " << replay_of(kind, seed) << std::endl;
  run_worlds(kind, seed, worlds_of_a_random_seed, true);
}

class WorldsWithAgents : public testing::TestWithParam<std::uint64_t> {};
class WorldsWithoutAgents : public testing::TestWithParam<std::uint64_t> {};

TEST_P(WorldsWithAgents, ServeAgainAfterAnyFaults) {
  run_shard(Kind::with_agents, GetParam(), worlds_with_agents);
}
TEST_P(WorldsWithoutAgents, ServeAgainAfterAnyFaults) {
  run_shard(Kind::without_agents, GetParam(), worlds_without_agents);
}
TEST(WithAgents, OfARandomSeed) {
  run_random_seed(Kind::with_agents);
}
TEST(WithoutAgents, OfARandomSeed) {
  run_random_seed(Kind::without_agents);
}

INSTANTIATE_TEST_SUITE_P(Shard, WorldsWithAgents, testing::Range<std::uint64_t>(0, shards_with_agents));
INSTANTIATE_TEST_SUITE_P(Shard, WorldsWithoutAgents, testing::Range<std::uint64_t>(0, shards_without_agents));

}  // namespace
}  // namespace pointsman::sim
