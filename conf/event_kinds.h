#pragma once

#include <array>
#include <string_view>

namespace pointsman::conf {

// The kinds of events that the daemon tells of (`kind` in `pointsman events --json`): what hooks.events may
// name and what the metrics count. Steps of a change are none.
inline constexpr std::array<std::string_view, 27> event_kinds{
    "adopted",     "automatic",  "degraded",         "discard",    "epoch",
    "failback",    "failover",   "failover_started", "fenced",     "link",
    "maintenance", "no_primary", "outran",           "paused",     "quarantine",
    "refused",     "reinstated", "rejoin",           "reloaded",   "restored",
    "resumed",     "seen",       "semi_sync",        "switchover", "switchover_started",
    "trouble",     "verdict"};

// In hooks.events: each of them.
inline constexpr std::string_view every_kind = "all";

}  // namespace pointsman::conf
