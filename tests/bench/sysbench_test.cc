#include "bench/sysbench.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

constexpr const char* printed = R"(SQL statistics:
    queries performed:
        read:                            26215
        write:                           0
        other:                           0
        total:                           26215
    transactions:                        26215  (13101.31 per sec.)
    queries:                             26215  (13101.31 per sec.)
    ignored errors:                      0      (0.00 per sec.)
    reconnects:                          0      (0.00 per sec.)

Latency (ms):
         min:                                    0.05
         avg:                                    0.08
         max:                                    1.26
         95th percentile:                        0.11
         sum:                                 1987.16
)";

// What sysbench 1.0.20 prints at the end of a run.
TEST(SysbenchOutput, IsRead) {
  const auto figures = parse_sysbench(printed);
  ASSERT_TRUE(figures) << figures.error();
  EXPECT_EQ(figures->queries, 26215);
  EXPECT_EQ(figures->queries_per_second, 13101.31);
  EXPECT_EQ(figures->latency_avg_ms, 0.08);
  EXPECT_EQ(figures->latency_p95_ms, 0.11);
}

// A run that ended early printed only a part; a run with errors measured something else.
TEST(SysbenchOutput, IsRefused) {
  const std::string text = printed;
  EXPECT_FALSE(parse_sysbench(""));
  EXPECT_FALSE(parse_sysbench(text.substr(0, text.find("Latency"))));
  std::string with_errors = text;
  with_errors.replace(with_errors.find("0      (0.00"), 1, "7");
  EXPECT_FALSE(parse_sysbench(with_errors));
}

}  // namespace
}  // namespace pointsman::bench
