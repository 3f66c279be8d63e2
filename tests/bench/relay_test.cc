#include "bench/relay.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

RelaySample a_sample(double rate, double cpu_s) {
  return {.figures = {.queries = rate * 10, .queries_per_second = rate}, .cpu_s = cpu_s};
}

// A machine that gets slower from round to round moves both rates, but not the ratio within a round.
TEST(RelaySeries, RatiosAreTakenWithinARound) {
  RelaySeries series;
  for (const double speed : {1.0, 0.5, 0.25}) {
    series.samples[1].push_back(a_sample(12000 * speed, 1));
    series.samples[2].push_back(a_sample(10000 * speed, 1));
  }
  EXPECT_EQ(series.ratios(Path::pointsman, Path::haproxy), (std::vector<double>{1.2, 1.2, 1.2}));
}

// CPU time belongs to queries, not to seconds: who relays more may use more.
TEST(RelaySeries, CostOfThousandQueries) {
  RelaySeries series;
  series.samples[1] = {a_sample(1000, 0.5), a_sample(0, 0.5)};
  EXPECT_EQ(series.cpu_ms_per_1000(Path::pointsman), (std::vector<double>{50}));
}

// A round that was not finished has no ratio.
TEST(RelaySeries, UnfinishedRound) {
  RelaySeries series;
  series.samples[1] = {a_sample(10, 0), a_sample(10, 0)};
  series.samples[2] = {a_sample(10, 0)};
  EXPECT_EQ(series.ratios(Path::pointsman, Path::haproxy).size(), 1U);
}

// HAProxy gets as many threads as Pointsman has.
TEST(HaproxyConfiguration, NamesThreadsAndAddresses) {
  const std::string text = haproxy_configuration({"127.0.0.1", 20001}, {"127.0.0.1", 20002}, 2);
  EXPECT_NE(text.find("nbthread 2\n"), std::string::npos);
  EXPECT_NE(text.find("bind 127.0.0.1:20001\n"), std::string::npos);
  EXPECT_NE(text.find("server db 127.0.0.1:20002\n"), std::string::npos);
}

}  // namespace
}  // namespace pointsman::bench
