#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "bench/against.h"

// What is said about runs against somebody else's endpoint. Pure.
namespace pointsman::bench {

std::string against_text(const AgainstOptions& options, std::span<const AgainstRun> runs);
// In the shape of the failover benchmark's, so that it can be drawn.
nlohmann::json against_json(const AgainstOptions& options, std::span<const AgainstRun> runs);

std::size_t total_missing(std::span<const AgainstRun> runs);

// The definitions of the figures and of the file; part of --help.
extern const char* const against_definitions;

}  // namespace pointsman::bench
