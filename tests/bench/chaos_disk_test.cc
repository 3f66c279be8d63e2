#include "bench/chaos_disk.h"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/testbed/files.h"

namespace pointsman::bench {
namespace {

bool takes_a_byte(const std::filesystem::path& path) {
  std::ofstream out(path, std::ios::app);
  out << "x";
  out.close();
  return !out.fail();
}

TEST(SmallDisk, IsFullUntilItIsEmptied) {
  if (::geteuid() != 0) GTEST_SKIP() << "for root";
  auto disk = SmallDisk::create(2);
  ASSERT_TRUE(disk.has_value()) << disk.error();
  EXPECT_TRUE(takes_a_byte(disk->path() / "before"));
  const auto filled = disk->fill();
  ASSERT_TRUE(filled.has_value()) << filled.error();
  EXPECT_FALSE(takes_a_byte(disk->path() / "full"));
  EXPECT_EQ(testbed::read_tail(disk->path() / "before", 10), "x");
  disk->empty();
  EXPECT_TRUE(takes_a_byte(disk->path() / "after"));
}

}  // namespace
}  // namespace pointsman::bench
