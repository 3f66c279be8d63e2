#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

// One event of `events`: a line, and under a change of primary its steps with their times and what was lost.
// Reads time (ISO 8601 UTC), kind, epoch, message and, where present, backend, from, to, verdict, steps
// [{name, ms, note}], total_ms, lost, ok (false: it failed). Ends with a line end.
std::string render_event(const nlohmann::json& event, const Style& style);

bool is_failed(const nlohmann::json& event);

// The answer to `events`: {"events": [...]}.
std::string render_events(const nlohmann::json& result, const Style& style);

// The answer to switchover and failover: the finished event, as the answer to a command.
std::string render_change(const nlohmann::json& event, const Style& style);

}  // namespace pointsman::proxy::cli
