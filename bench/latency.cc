#include "bench/latency.h"

#include <algorithm>
#include <utility>

#include "bench/statistics.h"

namespace pointsman::bench {

namespace {

struct Waits {
  std::vector<double> ms;
  std::size_t unfinished = 0;
};

std::optional<Latency> summary_of(Waits waits) {
  if (waits.ms.empty()) return std::nullopt;
  std::ranges::sort(waits.ms);
  return Latency{.count = waits.ms.size(),
                 .unfinished = waits.unfinished,
                 .p50_ms = nearest_rank(waits.ms, 500),
                 .p90_ms = nearest_rank(waits.ms, 900),
                 .p99_ms = nearest_rank(waits.ms, 990),
                 .p999_ms = nearest_rank(waits.ms, 999),
                 .max_ms = waits.ms.back()};
}

}  // namespace

LatencyAround latency_around(const std::vector<std::vector<Commit>>& writers, const Schedule& schedule,
                             Moment event, Span before, Span after, Moment end) {
  Waits usual;
  Waits then;
  for (unsigned writer = 0; writer < writers.size(); ++writer) {
    const auto& commits = writers[writer];
    const std::uint64_t last = schedule.first_from(writer, event + after);
    for (std::uint64_t i = schedule.first_from(writer, event - before); i < last; ++i) {
      const Moment due = schedule.due(writer, i);
      const bool finished = i < commits.size();
      const Moment answered = finished ? commits[i].acknowledged : std::max(end, due);
      Waits& waits = due < event && finished && answered <= event ? usual : then;
      waits.ms.push_back(to_ms(answered - due));
      if (!finished) ++waits.unfinished;
    }
  }
  return {.before = summary_of(std::move(usual)), .after = summary_of(std::move(then))};
}

nlohmann::json to_json(const Latency& latency) {
  return {{"count", latency.count},   {"unfinished", latency.unfinished}, {"p50_ms", latency.p50_ms},
          {"p90_ms", latency.p90_ms}, {"p99_ms", latency.p99_ms},         {"p999_ms", latency.p999_ms},
          {"max_ms", latency.max_ms}};
}

}  // namespace pointsman::bench
