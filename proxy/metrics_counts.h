#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "conf/config.h"
#include "conf/event_kinds.h"
#include "health/core/event.h"
#include "health/core/history.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// What the metrics count as it passes through the control loop. Copied into each snapshot.
namespace pointsman::proxy {

// A histogram of how long probes took.
class ProbeLatencies {
 public:
  // Seconds. On a local network a probe takes half a millisecond; monitor.timeout is 500 ms by default.
  static constexpr std::array<double, 11> bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                 0.05,   0.1,   0.25,   0.5,   1};

  void add(core::Duration took);
  // Those that took at most bounds[i], and in the last element all.
  std::array<std::uint64_t, bounds.size() + 1> cumulative() const;
  double sum_seconds() const { return sum_; }

 private:
  std::array<std::uint64_t, bounds.size() + 1> counts_{};
  double sum_ = 0;
};

struct ProbeCounts {
  static constexpr std::size_t kinds = static_cast<std::size_t>(core::FailureKind::unsupported) + 1;

  ProbeLatencies latencies{};  // of those that succeeded
  std::array<std::uint64_t, kinds> failed{};
};

// Of failovers, or of switchovers.
struct ChangeCounts {
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t with_loss = 0;  // of `done`
  struct Last {                 // that was done
    core::Duration total{};
    std::int64_t unix_ms = 0;
    std::vector<core::StepTime> steps{};
  };
  std::optional<Last> last{};
};

struct MetricsCounts {
  std::vector<ProbeCounts> probes = std::vector<ProbeCounts>(conf::max_backends);  // index == BackendId
  ChangeCounts failovers{};
  ChangeCounts switchovers{};
  std::uint64_t failovers_refused = 0;                               // called for by a verdict, and vetoed
  std::array<std::uint64_t, conf::event_kinds.size() + 1> events{};  // the last one: of no known kind

  void on_event(const core::Event& event);
  // `unix_ms`: the wall clock.
  void on_record(const core::HistoryRecord& record, std::int64_t unix_ms);
};

}  // namespace pointsman::proxy
