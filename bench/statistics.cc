#include "bench/statistics.h"

#include <algorithm>

namespace pointsman::bench {

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
  const std::size_t rank = (count * 95 + 99) / 100;  // ceil(0.95 * count) without a rounding error
  summary.p95 = values[rank - 1];
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
