#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

// What a table says of a series of measurements. Pure.
namespace pointsman::bench {

struct Summary {
  std::size_t count = 0;
  double min = 0;
  double median = 0;  // of an even number of values: the mean of the two in the middle
  double p95 = 0;     // nearest rank: with fewer than 20 values it is the largest one
  double max = 0;

  double spread() const { return max - min; }
};

// The smallest value that is not below so many of a thousand of them; `sorted` is not empty.
double nearest_rank(const std::vector<double>& sorted, unsigned permille);
// nullopt: no values. Their unit is the caller's.
std::optional<Summary> summarise(std::vector<double> values);
nlohmann::json to_json(const Summary& summary);

}  // namespace pointsman::bench
