#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include <sys/types.h>

// What a process has used, as /proc tells.
namespace pointsman::bench {

// User and system time of all its threads, in seconds; the kernel counts in steps of 10 ms.
std::expected<double, std::string> cpu_seconds(pid_t pid);
// The same out of the text of /proc/PID/stat, in clock ticks. Pure. The program's name in it may hold
// anything.
std::expected<double, std::string> parse_cpu_ticks(std::string_view stat);

// Resident memory in KiB.
std::expected<std::size_t, std::string> resident_kib(pid_t pid);

}  // namespace pointsman::bench
