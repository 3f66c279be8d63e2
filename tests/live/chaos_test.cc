#include "bench/chaos.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "tests/testbed/network.h"

// One thing after another fails under eight writers, as a seed decides; nothing may be lost, doubled or left
// broken. See bench/chaos.h for what is done and what is checked. For root.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Product;

// A random one, so that each run of the tests sees another story; told, so that it can be told again.
std::uint64_t seed() {
  const char* given = std::getenv("POINTSMAN_CHAOS_SEED");
  return given != nullptr && *given != '\0' ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

void run(Product product, std::chrono::milliseconds time) {
  if (const std::string why = testbed::Network::why_not(); !why.empty()) GTEST_SKIP() << why;
  bench::ChaosOptions options;
  options.product = product;
  options.time = time;
  options.seed = seed();
  std::printf("POINTSMAN_CHAOS_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
  bench::Chaos chaos(
      options, [] { return false; },
      [](const std::string& line) {
        std::printf("%s\n", line.c_str());
        std::fflush(stdout);
      });
  const auto result = chaos.run();
  std::printf("%s", bench::chaos_text(options, result).c_str());
  EXPECT_EQ(result.error, "");
  EXPECT_FALSE(result.rounds.empty());
}

TEST(Chaos, NothingIsLostOnMariadb) {
  run(Product::mariadb, 3min);
}

TEST(Chaos, NothingIsLostOnMysql) {
  run(Product::mysql, 2min);
}

}  // namespace
}  // namespace pointsman::live
