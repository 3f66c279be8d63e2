#pragma once

#include <array>
#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/haproxy.h"
#include "bench/stage.h"
#include "bench/sysbench.h"

// What the relay costs: the same work directly, through Pointsman and through HAProxy, one after another in
// turns, so that whatever else the machine does meets all three alike.
namespace pointsman::bench {

struct RelayOptions {
  std::vector<unsigned> threads{1, 2};  // of Pointsman and of HAProxy
  std::vector<Workload> workloads{all_workloads.begin(), all_workloads.end()};
  std::vector<unsigned> clients{1, 16, 256};
  std::chrono::seconds time{10};  // of each measurement
  unsigned rounds = 5;
  unsigned idle_connections = 10000;  // for the memory; 0: it is not measured
  unsigned busy_connections = 1000;   // beside them
};

enum class Path : std::size_t { direct, pointsman, haproxy };
inline constexpr std::array relay_paths{Path::direct, Path::pointsman, Path::haproxy};
const char* to_string(Path path);

struct RelaySample {
  SysbenchFigures figures;
  double cpu_s = 0;  // of the proxy in this measurement; 0: there is none
};

// All rounds of one combination.
struct RelaySeries {
  Workload workload = Workload::point_select;
  unsigned threads = 0;
  unsigned clients = 0;
  std::array<std::vector<RelaySample>, relay_paths.size()>
      samples;  // by Path; of the same round at the same index

  const std::vector<RelaySample>& of(Path path) const { return samples[static_cast<std::size_t>(path)]; }
  std::vector<double> rates(Path path) const;
  // In each round, queries per second of one path divided by that of the other.
  std::vector<double> ratios(Path path, Path to) const;
  // Milliseconds of the proxy's CPU time per 1000 queries, in each round.
  std::vector<double> cpu_ms_per_1000(Path path) const;
  // In each round, that of one path divided by that of the other.
  std::vector<double> cpu_ratios(Path path, Path to) const;
};

// One proxy with very many sessions. The rounds with them and those without follow each other.
struct RelayScale {
  Path path = Path::pointsman;
  unsigned threads = 0;
  unsigned idle = 0;
  unsigned busy = 0;
  std::size_t fresh_kib = 0;        // resident memory before the first session
  std::size_t idle_kib = 0;         // with all idle ones, before any query
  double logins_per_second = 0;     // as they came, one after another
  std::vector<RelaySample> beside;  // point selects of `busy` clients, with the idle ones
  std::vector<RelaySample> alone;   // and without

  double kib_each() const;
  // CPU time of the proxy for each query beside the idle ones, divided by that without: medians of the
  // rounds.
  std::optional<double> cost_of_idle() const;
};

std::vector<double> cpu_ms_per_1000(const std::vector<RelaySample>& samples);
// The rows in which Pointsman is behind HAProxy, a sentence for each. Pure.
std::vector<std::string> losses(const std::vector<RelaySeries>& series, const std::vector<RelayScale>& scale);

// The definitions of the figures; part of --help.
extern const char* const relay_definitions;

// The servers and the daemon of a measurement.
Stage::Options relay_stage(unsigned threads, std::vector<std::string> more_settings,
                           unsigned max_connections);
std::expected<void, std::string> stop_applying(Stage& stage);

class RelayBench {
 public:
  // `stop`: true to end before the next round. `progress`: a line for a person, now and then.
  RelayBench(RelayOptions options, std::function<bool()> stop,
             std::function<void(const std::string&)> progress)
      : options_(std::move(options)), stop_(std::move(stop)), progress_(std::move(progress)) {}

  std::expected<void, std::string> run();

  std::string text() const;
  nlohmann::json json() const;

 private:
  using Outcome = std::expected<void, std::string>;
  struct Target {
    Path path;
    conf::HostPort address;
    pid_t pid;  // of the proxy; 0: none
  };

  Outcome run_with(unsigned threads);
  Outcome run_scale(unsigned threads);
  Outcome measure_scale(RelayScale& scale, const Target& target, const testbed::Login& login,
                        const Sysbench& sysbench);
  Outcome measure(RelaySeries& series, const std::array<Target, 3>& targets, const Sysbench& sysbench);
  std::expected<RelaySample, std::string> sample(const Target& target, Workload workload, unsigned clients,
                                                 const Sysbench& sysbench, std::chrono::seconds time) const;

  RelayOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  std::vector<RelaySeries> series_;
  std::vector<RelayScale> scale_;
  std::string haproxy_version_;
  std::string haproxy_configuration_;
};

}  // namespace pointsman::bench
