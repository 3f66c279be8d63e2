#include "bench/schedule.h"

namespace pointsman::bench {

std::uint64_t Schedule::first_from(unsigned writer, Moment moment) const {
  if (moment <= due(writer, 0)) return 0;
  std::uint64_t before = 0;  // due before the moment
  std::uint64_t from = 1;    // doubled until it is not
  while (due(writer, from) < moment) {
    before = from;
    from *= 2;
  }
  while (from - before > 1) {
    const std::uint64_t middle = before + (from - before) / 2;
    (due(writer, middle) < moment ? before : from) = middle;
  }
  return from;
}

}  // namespace pointsman::bench
