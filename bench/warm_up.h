#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bench/schedule.h"
#include "bench/writer.h"

namespace pointsman::bench {

// Before an event each writer has committed so often on its connection, and then for timeline_before, so that
// "before" is a steady state.
inline constexpr std::uint64_t warm_up_commits = 50;

// Until every writer has committed what is due: it takes a while to connect first, and to catch up on an
// outage at the end. Not longer than `patience`, as servers may be too slow for the rate, which the latencies
// then tell. Returns at once without a schedule.
void wait_until_on_schedule(const std::vector<std::unique_ptr<Writer>>& writers,
                            const std::optional<Schedule>& schedule,
                            std::chrono::milliseconds patience = std::chrono::milliseconds(10000));

}  // namespace pointsman::bench
