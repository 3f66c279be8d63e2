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

// nullopt: no commit belongs to it.
struct LatencyAround {
  std::optional<Latency> before;
  std::optional<Latency> after;
};
// Of all commits that were due from `before` before the event until `after` after it. One that was due before
// the event and had no answer by then is the event's to answer for, and belongs to `after`. `writers`: what
// each had acknowledged, the n-th commit being the n-th that was due. `end`: when the recording ended.
LatencyAround latency_around(const std::vector<std::vector<Commit>>& writers, const Schedule& schedule,
                             Moment event, Span before, Span after, Moment end);

nlohmann::json to_json(const Latency& latency);

}  // namespace pointsman::bench
