#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "conf/config.h"

// Durations and sizes as the operator writes them. Pure; any thread.
namespace pointsman::conf {

// One number and one unit, without spaces: "500us", "250ms", "1.5s", "2m", "1h", "0s". Units: ns, us, ms, s,
// m, h. Fractions are exact: one that is not a whole number of nanoseconds is an error. Not negative; below
// 292 years. The error says what is wrong with the text, without repeating it.
std::expected<Duration, std::string> parse_duration(std::string_view text);

// For people, and read back by parse_duration() without loss: "250ms", "1.5s", "90s", "2m".
std::string format_duration(Duration duration);

// Bytes: "512B", "64KiB", "16MiB", "1GiB". The same rules; a fraction must be a whole number of bytes.
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

}  // namespace pointsman::conf
