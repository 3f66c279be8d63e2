#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"

namespace pointsman::live {
namespace {

using namespace std::chrono_literals;

using Switchover = LiveTest;
INSTANTIATE_TEST_SUITE_P(Each, Switchover, testing::Values(Product::mariadb, Product::mysql), product_name);

// A planned change under a writer, there and back: no acknowledged row is lost, the direction of replication
// follows.
TEST_P(Switchover, ThereAndBackUnderAWriter) {
  World world = World::make({.product = GetParam()});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  for (const std::string to : {"db2", "db1"}) {
    ASSERT_TRUE(writer.wait_for(50, 20s)) << writer.last_error();
    const auto began = std::chrono::steady_clock::now();
    const auto done = world.daemon->command({"switchover", "--to", to});
    ASSERT_TRUE(done.has_value()) << done.error();
    ASSERT_EQ(done->code, 0) << done->out << done->err << world.story();
    ASSERT_TRUE(writer.wait_for(50, 20s)) << writer.last_error() << world.story();
    std::printf("gap %lld ms %s\n", static_cast<long long>(writer.longest_gap(began).count()),
                world.last_event("switchover").dump().c_str());
    world.expect_in_order(to);
  }
  writer.stop();
  EXPECT_TRUE(world.missing(world.db(0), writer.acknowledged()).empty());
  ASSERT_TRUE(world.cluster->wait_caught_up(world.db(1), world.db(0), 20s).has_value());
  EXPECT_TRUE(world.missing(world.db(1), writer.acknowledged()).empty());
}

// A dry run names the steps and touches nothing.
TEST_P(Switchover, DryRunChangesNothing) {
  World world = World::make({.product = GetParam()});
  ASSERT_NE(world.daemon, nullptr);
  const auto done = world.daemon->command({"switchover", "--dry-run"});
  ASSERT_TRUE(done.has_value()) << done.error();
  EXPECT_EQ(done->code, 0) << done->err;
  EXPECT_NE(done->out.find("promote"), std::string::npos) << done->out;
  world.expect_in_order("db1");
  EXPECT_TRUE(world.last_event("switchover").is_null());
}

}  // namespace
}  // namespace pointsman::live
