#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

// How long clients could not write. Pure.
//
// A gap lies between two acknowledged commits, so it does not depend on how many requests would have been
// sent meanwhile: a writer that waits for its answer sends nothing, which is why a percentile over its
// requests would count the whole outage as one slow request (coordinated omission). Which server acknowledged
// a commit is told by the row itself, which holds the server's id: an answer of the old primary that was
// still on its way when the primary died is not taken for the end of the gap.
namespace pointsman::bench {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using Moment = Clock::time_point;
using Span = Clock::duration;

inline double to_ms(Span span) {
  return std::chrono::duration<double, std::milli>(span).count();
}

struct Commit {
  std::uint64_t number = 0;  // the row's, of one writer
  Moment acknowledged;
  unsigned server = 0;  // server_id that the row holds; 0: the row is not to be found (acknowledged and lost)
};

struct Gap {
  Moment last_before;            // the last commit that the old primary acknowledged, of all writers
  Moment first_after;            // the first that the new one acknowledged, of all writers
  std::size_t first_writer = 0;  // whose commit that was
  Span gap{};                    // between the two
  Span since_event{};            // from the event to first_after
  // Of each writer by itself; nullopt: it has no commit on one of the two sides.
  std::vector<std::optional<Span>> of_writer;
  Span slowest_writer{};  // the longest of them
};

// `writers`: each one's commits in the order in which they were acknowledged. A lost row counts as the old
// primary's. Error: nobody committed on the new primary, or nobody did on the old one.
std::expected<Gap, std::string> measure_gap(const std::vector<std::vector<Commit>>& writers, Moment event,
                                            unsigned new_server);

// The longest time within [from, until] without a commit, ends included, of all writers together and of the
// one for whom it was longest. For when nothing interrupts them.
struct Pause {
  Span together{};
  Span slowest_writer{};
};
Pause longest_pause(const std::vector<std::vector<Commit>>& writers, Moment from, Moment until);

// Commits that were acknowledged and whose row is not to be found.
std::size_t count_missing(const std::vector<std::vector<Commit>>& writers);

// The time between successive commits of one writer up to `until`, in ms: what is normal without an event.
std::vector<double> intervals_before(const std::vector<std::vector<Commit>>& writers, Moment until);

}  // namespace pointsman::bench
