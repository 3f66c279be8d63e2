#include "bench/latency.h"

#include <algorithm>

#include "bench/statistics.h"

namespace pointsman::bench {

std::optional<Latency> measure_latency(const std::vector<std::vector<Commit>>& writers,
                                       const Schedule& schedule, Moment from, Moment until, Moment end) {
  Latency latency;
  std::vector<double> values;
  for (unsigned writer = 0; writer < writers.size(); ++writer) {
    const auto& commits = writers[writer];
    const std::uint64_t last = schedule.first_from(writer, until);
    for (std::uint64_t i = schedule.first_from(writer, from); i < last; ++i) {
      const Moment due = schedule.due(writer, i);
      const bool finished = i < commits.size();
      if (!finished) ++latency.unfinished;
      values.push_back(to_ms((finished ? commits[i].acknowledged : std::max(end, due)) - due));
    }
  }
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  latency.count = values.size();
  latency.p50_ms = nearest_rank(values, 500);
  latency.p90_ms = nearest_rank(values, 900);
  latency.p99_ms = nearest_rank(values, 990);
  latency.p999_ms = nearest_rank(values, 999);
  latency.max_ms = values.back();
  return latency;
}

nlohmann::json to_json(const Latency& latency) {
  return {{"count", latency.count},   {"unfinished", latency.unfinished}, {"p50_ms", latency.p50_ms},
          {"p90_ms", latency.p90_ms}, {"p99_ms", latency.p99_ms},         {"p999_ms", latency.p999_ms},
          {"max_ms", latency.max_ms}};
}

}  // namespace pointsman::bench
