#include "bench/warm_up.h"

#include <algorithm>
#include <thread>

namespace pointsman::bench {

void wait_until_on_schedule(const std::vector<std::unique_ptr<Writer>>& writers,
                            const std::optional<Schedule>& schedule, std::chrono::milliseconds patience) {
  if (!schedule) return;
  constexpr std::chrono::milliseconds look_pause{2};
  const auto deadline = Clock::now() + patience;
  // The last one that is due may be on its way.
  const auto on_schedule = [&schedule](const auto& writer) {
    return writer->commits() + 1 >= schedule->first_from(writer->number(), Clock::now());
  };
  while (!std::ranges::all_of(writers, on_schedule) && Clock::now() < deadline)
    std::this_thread::sleep_for(look_pause);
}

}  // namespace pointsman::bench
