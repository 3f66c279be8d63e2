#include "bench/machine.h"

#include <array>
#include <ctime>
#include <fstream>

#include <sys/utsname.h>
#include <unistd.h>

#include "tests/testbed/installation.h"

namespace pointsman::bench {

namespace {

// The value of a "name : value" line of a file of /proc.
std::string field_of(const char* file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t colon = line.find(':');
    const std::size_t begin = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "";
}

std::string first_line(const char* file) {
  std::ifstream lines(file);
  std::string line;
  std::getline(lines, line);
  return line;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace

nlohmann::json describe_machine(const std::vector<std::string>& command_line) {
  utsname system{};
  ::uname(&system);
  return {{"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"cpu", field_of("/proc/cpuinfo", "model name")},
          {"memory", field_of("/proc/meminfo", "MemTotal")},
          {"kernel", std::string(system.sysname) + " " + system.release + " " + system.machine},
          {"load_average", first_line("/proc/loadavg")},  // other work on the machine shows in the figures
          {"date", now_utc()},
          {"command_line", command_line}};
}

std::string machine_line(const nlohmann::json& machine) {
  return std::to_string(machine.value("cores", 0)) + " cores of " + machine.value("cpu", "?") + ", " +
         machine.value("memory", "?") + ", " + machine.value("kernel", "?") + ", " +
         machine.value("date", "?");
}

std::string server_version(testbed::Product product) {
  const auto installation = testbed::Installation::find(product);
  if (!installation) return installation.error();
  return std::string(testbed::to_string(product)) + " " + installation->version;
}

std::expected<void, std::string> write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  std::ofstream file(path);
  file << value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  file.close();
  if (!file) return std::unexpected("cannot write " + path.string());
  return {};
}

}  // namespace pointsman::bench
