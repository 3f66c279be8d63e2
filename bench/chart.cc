#include "bench/chart.h"

#include <algorithm>
#include <array>

namespace pointsman::bench {

std::vector<std::string> bars(std::span<const unsigned> samples, std::size_t width, std::size_t height,
                              unsigned top, bool blocks) {
  static constexpr std::array<const char*, 9> eighths{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::array<const char*, 2> wholes{" ", "#"};
  const std::span<const char* const> levels =
      blocks ? std::span<const char* const>(eighths) : std::span<const char* const>(wholes);
  const std::size_t per_line = levels.size() - 1;
  if (samples.size() > width) samples = samples.last(width);
  if (top == 0 && !samples.empty()) top = *std::ranges::max_element(samples);

  std::vector<std::string> lines(height);
  for (const unsigned sample : samples) {
    const std::size_t full = height * per_line;
    std::size_t filled = top == 0 ? 0 : (std::size_t{sample} * full + top / 2) / top;
    filled = std::clamp<std::size_t>(filled, sample > 0 ? 1 : 0, full);
    for (std::size_t line = 0; line < height; ++line) {
      const std::size_t below = (height - 1 - line) * per_line;
      lines[line] += levels[std::clamp(filled, below, below + per_line) - below];
    }
  }
  return lines;
}

std::vector<unsigned> count_per(const std::vector<std::vector<Commit>>& writers, Moment from, Span each,
                                std::size_t count) {
  std::vector<unsigned> counts(count);
  for (const auto& commits : writers) {
    const auto first = std::ranges::lower_bound(commits, from, {}, &Commit::acknowledged);
    for (auto commit = first; commit != commits.end(); ++commit) {
      const auto index = static_cast<std::size_t>((commit->acknowledged - from) / each);
      if (index >= count) break;
      ++counts[index];
    }
  }
  return counts;
}

}  // namespace pointsman::bench
