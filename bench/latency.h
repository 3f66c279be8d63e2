#pragma once

#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/schedule.h"

// How long commits took from when they were due. Pure.
namespace pointsman::bench {

struct Latency {
  std::size_t count = 0;       // commits that were due in the time
  std::size_t unfinished = 0;  // of them those that nobody had an answer to at the end; counted up to then
  double p50_ms = 0;           // nearest rank, as all of these
  double p90_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;
  double max_ms = 0;
};

// Of all commits that were due in [from, until). `writers`: what each had acknowledged, the n-th commit being
// the n-th that was due. `end`: when the recording ended. nullopt: none was due.
std::optional<Latency> measure_latency(const std::vector<std::vector<Commit>>& writers,
                                       const Schedule& schedule, Moment from, Moment until, Moment end);

nlohmann::json to_json(const Latency& latency);

}  // namespace pointsman::bench
