#include "bench/timeline.h"

#include <charconv>
#include <cstdint>

#include "bench/chart.h"

namespace pointsman::bench {

Timeline timeline_around(const std::vector<std::vector<Commit>>& writers, Moment event) {
  const auto bins = static_cast<std::size_t>((timeline_before + timeline_after) / timeline_each);
  return {.from_ms = -static_cast<int>(timeline_before.count()),
          .each_ms = static_cast<unsigned>(timeline_each.count()),
          .counts = count_per(writers, event - timeline_before, timeline_each, bins)};
}

std::string pack_counts(std::span<const unsigned> counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t end = i;
    while (end < counts.size() && counts[end] == counts[i]) ++end;
    text += (text.empty() ? "" : " ") + std::to_string(counts[i]);
    if (end - i > 1) text += "x" + std::to_string(end - i);
    i = end;
  }
  return text;
}

std::expected<std::vector<unsigned>, std::string> unpack_counts(std::string_view text, std::size_t limit) {
  std::vector<unsigned> counts;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    unsigned count = 0;
    std::size_t times = 1;
    auto read = std::from_chars(at, end, count);
    if (read.ec == std::errc() && read.ptr != end && *read.ptr == 'x')
      read = std::from_chars(read.ptr + 1, end, times);
    if (read.ec != std::errc() || (read.ptr != end && *read.ptr != ' '))
      return std::unexpected("counts that cannot be read from byte " + std::to_string(at - text.data()) +
                             " on");
    if (times > limit - counts.size())
      return std::unexpected("more than " + std::to_string(limit) + " counts");
    counts.insert(counts.end(), times, count);
    at = read.ptr == end ? end : read.ptr + 1;
  }
  return counts;
}

nlohmann::json to_json(const Timeline& timeline) {
  return {{"from_ms", timeline.from_ms},
          {"each_ms", timeline.each_ms},
          {"commits", pack_counts(timeline.counts)}};
}

std::expected<Timeline, std::string> timeline_from(const nlohmann::json& json) {
  const auto has = [&json](const char* key, bool (nlohmann::json::*is)() const noexcept) {
    return json.contains(key) && (json[key].*is)();
  };
  if (!json.is_object() || !has("from_ms", &nlohmann::json::is_number_integer) ||
      !has("each_ms", &nlohmann::json::is_number_integer) || !has("commits", &nlohmann::json::is_string))
    return std::unexpected("a timeline without from_ms, each_ms and commits");
  auto counts = unpack_counts(json["commits"].get_ref<const std::string&>());
  if (!counts) return std::unexpected("a timeline with " + counts.error());
  const auto each = json["each_ms"].get<std::int64_t>();
  if (each < 1 || each > 1'000'000) return std::unexpected("a timeline whose each_ms is no time");
  Timeline timeline{.from_ms = json["from_ms"].get<int>(),
                    .each_ms = static_cast<unsigned>(each),
                    .counts = std::move(*counts)};
  return timeline;
}

}  // namespace pointsman::bench
