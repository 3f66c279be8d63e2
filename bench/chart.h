#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bench/gap.h"

// Bars made of characters. Pure.
namespace pointsman::bench {

// `samples` as bars over `height` lines of one column each, the top line first; the last samples when there
// are more than `width`. `top`: the value of a full bar; 0: the largest. Anything above 0 shows. `blocks`:
// eighths of a line by block elements, else whole lines by '#'.
std::vector<std::string> bars(std::span<const unsigned> samples, std::size_t width, std::size_t height,
                              unsigned top, bool blocks);

// How many commits of all writers fall into each of `count` intervals of length `each` from `from` on.
std::vector<unsigned> count_per(const std::vector<std::vector<Commit>>& writers, Moment from, Span each,
                                std::size_t count);

}  // namespace pointsman::bench
