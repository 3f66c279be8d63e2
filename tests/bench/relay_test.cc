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

RelaySeries a_series(Workload workload, double ours, double our_cpu, double theirs, double their_cpu) {
  RelaySeries series{.workload = workload, .threads = 1, .clients = 16, .samples = {}};
  series.samples[1] = {a_sample(ours, our_cpu)};
  series.samples[2] = {a_sample(theirs, their_cpu)};
  return series;
}

// CPU time per query within a round, whoever relayed more of them.
TEST(RelaySeries, CpuRatios) {
  const auto series = a_series(Workload::bulk, 2000, 1.0, 1000, 1.0);
  EXPECT_EQ(series.cpu_ratios(Path::pointsman, Path::haproxy), std::vector<double>{0.5});
  EXPECT_TRUE(series.cpu_ratios(Path::pointsman, Path::direct).empty());
}

// Being slower, dearer and larger are three ways to lose; a row that is won is not told.
TEST(RelayLosses, AreNamed) {
  EXPECT_TRUE(losses({a_series(Workload::bulk, 1001, 1, 1000, 1)}, {}).empty());
  const auto lost = losses({a_series(Workload::connect, 900, 1, 1000, 1)}, {});
  ASSERT_EQ(lost.size(), 2u);  // as much CPU time for fewer
  EXPECT_EQ(lost[0], "threads 1, connect, 16 clients: 0.900 of HAProxy's queries/s (0.900 to 0.900)");
  EXPECT_EQ(lost[1], "threads 1, connect, 16 clients: 1.111 times HAProxy's CPU time per query");
  RelayScale ours{
      .path = Path::pointsman, .threads = 2, .idle = 100, .idle_kib = 500, .beside = {}, .alone = {}};
  RelayScale theirs = ours;
  theirs.path = Path::haproxy;
  theirs.idle_kib = 400;
  const auto larger = losses({}, {ours, theirs});
  ASSERT_EQ(larger.size(), 1u);
  EXPECT_EQ(larger[0], "threads 2, memory: 5.00 KiB for each idle session, HAProxy 4.00");
  theirs.threads = 1;
  EXPECT_TRUE(losses({}, {ours, theirs}).empty());
}

// What an idle session costs a query: nothing when the ratio is 1, unknown when nothing was measured.
TEST(RelayScale, CostOfIdle) {
  RelayScale scale{.beside = {a_sample(1000, 2)}, .alone = {a_sample(1000, 1)}};
  EXPECT_EQ(scale.cost_of_idle(), 2);
  scale.alone.clear();
  EXPECT_EQ(scale.cost_of_idle(), std::nullopt);
  EXPECT_EQ(scale.kib_each(), 0);
}

// HAProxy gets as many threads as Pointsman has.
TEST(HaproxyConfiguration, NamesThreadsAndAddresses) {
  const std::string text = haproxy_configuration({"127.0.0.1", 20001}, {"127.0.0.1", 20002}, 2, 12000);
  EXPECT_NE(text.find("nbthread 2\n"), std::string::npos);
  EXPECT_NE(text.find("maxconn 12000\n"), std::string::npos);
  EXPECT_NE(text.find("bind 127.0.0.1:20001\n"), std::string::npos);
  EXPECT_NE(text.find("server db 127.0.0.1:20002\n"), std::string::npos);
}

}  // namespace
}  // namespace pointsman::bench
