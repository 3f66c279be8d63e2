#pragma once

#include <cstdint>

#include "bench/gap.h"

namespace pointsman::bench {

// When writers are to commit, so that what they would have sent while nobody answered is not left out of the
// latencies: so many commits a second of all writers together, who take turns, whatever became of those
// before. Latency counts from these times and not from when a writer came to it. Pure.
class Schedule {
 public:
  // `per_second` and `writers` are not 0.
  Schedule(Moment start, unsigned per_second, unsigned writers)
      : start_(start), per_second_(per_second), writers_(writers) {}

  // When a writer's commit is due; both count from 0.
  Moment due(unsigned writer, std::uint64_t commit) const {
    const std::uint64_t turn = commit * writers_ + writer;
    // Seconds and their rest apart: turn * 10^9 would not fit after a few hours.
    return start_ + std::chrono::seconds(turn / per_second_) +
           std::chrono::nanoseconds(turn % per_second_ * 1'000'000'000 / per_second_);
  }
  // A writer's first commit that is due at or after a moment.
  std::uint64_t first_from(unsigned writer, Moment moment) const;

 private:
  Moment start_;
  unsigned per_second_;
  unsigned writers_;
};

}  // namespace pointsman::bench
