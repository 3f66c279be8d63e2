#include "bench/gap.h"

#include <algorithm>

namespace pointsman::bench {

std::expected<Gap, std::string> measure_gap(const std::vector<std::vector<Commit>>& writers, Moment event,
                                            unsigned new_server) {
  std::optional<Moment> last_before;
  std::optional<Moment> first_after;
  Gap gap;
  for (std::size_t i = 0; i < writers.size(); ++i) {
    // A server may take both parts in one recording (it was the primary, and became it again); what counts is
    // what it acknowledged after the event.
    std::optional<Moment> first;
    std::optional<Moment> last;
    for (const Commit& commit : writers[i]) {
      if (commit.server == new_server && commit.acknowledged > event) {
        first = commit.acknowledged;
        break;
      }
      last = commit.acknowledged;
    }
    gap.of_writer.emplace_back();
    if (first && last) {
      gap.of_writer.back() = *first - *last;
      gap.slowest_writer = std::max(gap.slowest_writer, *first - *last);
    }
    if (last && (!last_before || *last > *last_before)) last_before = last;
    if (first && (!first_after || *first < *first_after)) {
      first_after = first;
      gap.first_writer = i;
    }
  }
  if (!last_before) return std::unexpected("no commit was acknowledged before the event");
  if (!first_after) return std::unexpected("no commit was acknowledged by the new primary after the event");
  gap.last_before = *last_before;
  gap.first_after = *first_after;
  // One writer's first commit on the new primary may be read before another's last answer of the old one.
  gap.gap = std::max(Span{}, *first_after - *last_before);
  gap.since_event = *first_after - event;
  return gap;
}

namespace {

// `moments` in their order.
Span longest_between(const std::vector<Moment>& moments, Moment from, Moment until) {
  Span longest{};
  Moment last = from;
  for (const Moment moment : moments) {
    if (moment <= from) continue;
    if (moment >= until) break;
    longest = std::max(longest, moment - last);
    last = moment;
  }
  return std::max(longest, until - last);
}

}  // namespace

Pause longest_pause(const std::vector<std::vector<Commit>>& writers, Moment from, Moment until) {
  Pause pause;
  std::vector<Moment> all;
  for (const auto& commits : writers) {
    std::vector<Moment> own;
    for (const Commit& commit : commits) own.push_back(commit.acknowledged);
    pause.slowest_writer = std::max(pause.slowest_writer, longest_between(own, from, until));
    all.insert(all.end(), own.begin(), own.end());
  }
  std::ranges::sort(all);
  pause.together = longest_between(all, from, until);
  return pause;
}

std::size_t count_missing(const std::vector<std::vector<Commit>>& writers) {
  std::size_t missing = 0;
  for (const auto& commits : writers) {
    missing += static_cast<std::size_t>(
        std::ranges::count_if(commits, [](const Commit& commit) { return commit.server == 0; }));
  }
  return missing;
}

std::vector<double> intervals_before(const std::vector<std::vector<Commit>>& writers, Moment until) {
  std::vector<double> intervals;
  for (const auto& commits : writers) {
    for (std::size_t i = 1; i < commits.size() && commits[i].acknowledged < until; ++i) {
      intervals.push_back(to_ms(commits[i].acknowledged - commits[i - 1].acknowledged));
    }
  }
  return intervals;
}

}  // namespace pointsman::bench
