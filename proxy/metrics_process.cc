#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "proxy/metrics_families.h"

namespace pointsman::proxy {

using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

// Fields of /proc/self/stat behind the program's name, which may have blanks itself; proc(5) counts from 1
// with the name as 2.
std::vector<double> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::vector<double> fields;
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos || end + 4 > text.size()) return fields;
  const char* at = text.c_str() + end + 4;  // behind the state, a letter
  for (char* next = nullptr;; at = next) {
    const double value = std::strtod(at, &next);
    if (next == at) return fields;
    fields.push_back(value);
  }
}

constexpr std::size_t start_time = 22 - 4;  // from the first number, field 4
constexpr std::size_t resident_pages = 24 - 4;

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

std::size_t open_files() {
  std::error_code error;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error))
    ++count;
  return count == 0 ? 0 : count - 1;  // but for the one that counts
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

std::vector<MetricFamily> process_families() {
  std::vector<MetricFamily> out;
  const auto add = [&](MetricType type, const char* name, const char* help, double value) {
    out.push_back({name, help, type, {{}}});
    auto& metric = out.back().metric.front();
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  };
  add(MetricType::Counter, "process_cpu_seconds_total", "Processor time, user and system.", cpu_seconds());
  add(MetricType::Gauge, "process_open_fds", "Open file descriptors.", static_cast<double>(open_files()));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    add(MetricType::Gauge, "process_max_fds", "The limit of open file descriptors.",
        static_cast<double>(limit.rlim_cur));
  const std::vector<double> fields = stat_fields();
  if (fields.size() <= resident_pages) return out;
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  add(MetricType::Gauge, "process_resident_memory_bytes", "Resident memory.", fields[resident_pages] * page);
  add(MetricType::Gauge, "process_start_time_seconds", "Start of the process, since 1970.",
      boot_time() + fields[start_time] / ticks);
  return out;
}

}  // namespace pointsman::proxy
