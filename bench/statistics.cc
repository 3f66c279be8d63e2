#include "bench/statistics.h"

#include <algorithm>

namespace pointsman::bench {

double nearest_rank(const std::vector<double>& sorted, unsigned permille) {
  const std::size_t rank = (sorted.size() * permille + 999) / 1000;  // rounded up without a rounding error
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

std::optional<Summary> summarise(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  const std::size_t count = values.size();
  const std::size_t middle = count / 2;
  Summary summary;
  summary.count = count;
  summary.min = values.front();
  summary.max = values.back();
  summary.median = count % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  summary.p95 = nearest_rank(values, 950);
  return summary;
}

nlohmann::json to_json(const Summary& summary) {
  return {{"count", summary.count},
          {"min", summary.min},
          {"median", summary.median},
          {"p95", summary.p95},
          {"max", summary.max}};
}

}  // namespace pointsman::bench
