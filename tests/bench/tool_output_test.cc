#include "bench/tool_output.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

constexpr const char* strace_table = R"(% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 18.64    0.045135           7      5736           setsockopt
  4.70    0.011382          11       956       478 accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.242150          10      6692       478 total
)";

// What strace 6.1 prints: with and without errors; the sum is not a call.
TEST(StraceOutput, Counts) {
  const auto counts = parse_strace_counts(strace_table);
  ASSERT_TRUE(counts) << counts.error();
  EXPECT_EQ(*counts, (CallCounts{{"setsockopt", 5736}, {"accept4", 956}}));
  EXPECT_EQ(total(*counts), 6692);
}

// A process that did nothing has no table; a message in its place is not taken for one.
TEST(StraceOutput, NothingAndNonsense) {
  EXPECT_EQ(parse_strace_counts(""), CallCounts{});
  EXPECT_FALSE(parse_strace_counts("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n"));
  EXPECT_FALSE(parse_strace_counts(std::string(strace_table) + "1.00 x y z recvfrom\n"));
}

// What both runs have falls out; a call that only the longer one has counts from zero.
TEST(StraceOutput, PerQuery) {
  EXPECT_EQ(
      per_query({{"recvfrom", 110}, {"close", 2}}, {{"recvfrom", 310}, {"close", 2}, {"futex", 5}}, 100),
      (CallCounts{{"recvfrom", 2}, {"close", 0}, {"futex", 0.05}}));
}

// The total is that of the whole file; the lines of functions are not looked at.
TEST(CallgrindOutput, Total) {
  EXPECT_EQ(
      parse_callgrind_total("# callgrind format\nthread: 2\n\nevents: Ir\nsummary: 1100479\n\nfn=(1) x\n0 7\n"
                            "totals: 1100479\n"),
      1100479);
  EXPECT_FALSE(parse_callgrind_total("# callgrind format\nevents: Ir\n"));
  EXPECT_FALSE(parse_callgrind_total("x\nsummary: many\n"));
}

}  // namespace
}  // namespace pointsman::bench
