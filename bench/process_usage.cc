#include "bench/process_usage.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include <unistd.h>

namespace pointsman::bench {

namespace {

std::string read_proc(pid_t pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::expected<double, std::string> parse_cpu_ticks(std::string_view stat) {
  // pid (name) state ppid ...; proc(5): utime is field 14 and stime 15, counted from 1. The name ends with
  // the last bracket.
  const std::size_t bracket = stat.rfind(')');
  if (bracket == std::string_view::npos) return std::unexpected("no process");
  std::istringstream fields{std::string(stat.substr(bracket + 1))};
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  if (!(fields >> user >> system)) return std::unexpected("no times in: " + std::string(stat));
  return user + system;
}

std::expected<double, std::string> cpu_seconds(pid_t pid) {
  const auto ticks = parse_cpu_ticks(read_proc(pid, "stat"));
  if (!ticks) return std::unexpected("process " + std::to_string(pid) + ": " + ticks.error());
  return *ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::expected<std::size_t, std::string> resident_kib(pid_t pid) {
  std::istringstream status(read_proc(pid, "status"));
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "VmRSS:" && status >> kib) return kib;
  }
  return std::unexpected("process " + std::to_string(pid) + ": no VmRSS");
}

}  // namespace pointsman::bench
