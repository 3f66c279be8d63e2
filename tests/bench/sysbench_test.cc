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
  EXPECT_EQ(figures->errors, 0);
}

// A run that ended early printed only a part.
TEST(SysbenchOutput, IsRefused) {
  const std::string text = printed;
  EXPECT_FALSE(parse_sysbench(""));
  EXPECT_FALSE(parse_sysbench(text.substr(0, text.find("Latency"))));
}

// Transactions that the server undid are told; whether they matter is the workload's to say.
TEST(SysbenchOutput, Errors) {
  std::string text = printed;
  text.replace(text.find("0      (0.00"), 1, "7");
  const auto figures = parse_sysbench(text);
  ASSERT_TRUE(figures) << figures.error();
  EXPECT_EQ(figures->errors, 7);
}

// Each workload is found by its name again, and is either sysbench's own or ours.
TEST(Workloads, NamesAndScripts) {
  for (const Workload workload : all_workloads) {
    EXPECT_EQ(parse_workload(to_string(workload)), workload);
    const Script script = script_of(workload);
    EXPECT_NE(script.builtin == nullptr, script.lua == nullptr) << to_string(workload);
  }
  const auto unknown = parse_workload("oltp");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().find("point-select, read-write, bulk, connect"), std::string::npos);
}

}  // namespace
}  // namespace pointsman::bench
