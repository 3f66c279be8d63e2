#pragma once

#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/gap.h"

// What is kept of a run for a plot: how many commits all writers had in each short time around the event. Not
// each commit, so that a result file of many runs stays small. Pure.
namespace pointsman::bench {

// The writers write for so long before the event and at least until so long after it.
inline constexpr std::chrono::milliseconds timeline_before{1000};
inline constexpr std::chrono::milliseconds timeline_after{3000};
inline constexpr std::chrono::milliseconds timeline_each{10};
inline constexpr std::size_t max_timeline = 100'000;  // counts that are read from a file

struct Timeline {
  int from_ms = 0;  // of the first count, from the event
  unsigned each_ms = 0;
  std::vector<unsigned> counts;

  bool operator==(const Timeline&) const = default;
};

Timeline timeline_around(const std::vector<std::vector<Commit>>& writers, Moment event);

// "7 8x3 0": 7, three times 8, 0.
std::string pack_counts(std::span<const unsigned> counts);
// Error: not such a text, or more than `limit` counts.
std::expected<std::vector<unsigned>, std::string> unpack_counts(std::string_view text,
                                                                std::size_t limit = max_timeline);

nlohmann::json to_json(const Timeline& timeline);
std::expected<Timeline, std::string> timeline_from(const nlohmann::json& json);

}  // namespace pointsman::bench
