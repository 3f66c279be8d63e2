#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/failover.h"

// What is said about a series of runs. Pure.
namespace pointsman::bench {

using FailoverRow = RunRow;

// gap, since_event, how the first client came back, the daemon's steps in their order, its total, the rejoin.
std::vector<FailoverRow> failover_rows(std::span<const FailoverRun> runs);

// A table for each scenario, and what was lost and who rejoined.
std::string failover_text(const FailoverOptions& options, std::span<const FailoverRun> runs);
nlohmann::json failover_json(const FailoverOptions& options, std::span<const FailoverRun> runs);

// The medians of two series of the same scenarios, and how far the second is from the first.
std::string compared_text(std::span<const Scenario> scenarios, std::span<const FailoverRun> without,
                          std::span<const FailoverRun> with);

std::size_t total_missing(std::span<const FailoverRun> runs);

// The definitions of the figures; part of --help.
extern const char* const failover_definitions;

}  // namespace pointsman::bench
