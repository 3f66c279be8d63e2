#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

// What strace and callgrind wrote. Pure.
namespace pointsman::bench {

using CallCounts = std::map<std::string, double>;  // by the system call's name

// The table of `strace -c` (strace 6.1): calls by name, those that failed included. Empty when it saw none.
// Error: it is no such table.
std::expected<CallCounts, std::string> parse_strace_counts(std::string_view table);

// What one more query takes, of two runs of different lengths: what is the same in both (attaching, logins)
// falls out of it. `more_queries` is positive.
CallCounts per_query(const CallCounts& shorter, const CallCounts& longer, double more_queries);
double total(const CallCounts& counts);

// The instructions in a file of callgrind (valgrind 3.19): its "summary:" line. Error: there is none.
std::expected<double, std::string> parse_callgrind_total(std::string_view profile);

}  // namespace pointsman::bench
