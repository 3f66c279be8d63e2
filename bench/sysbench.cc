#include "bench/sysbench.h"

#include <charconv>
#include <optional>
#include <utility>

#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::bench {

namespace {

constexpr std::chrono::seconds prepare_timeout{120};
constexpr std::chrono::seconds grace{60};  // a run's own time is not counted in it

// The first number after `label` on its line, and then the first one after `then`.
std::optional<double> number_after(const std::string& text, const std::string& label,
                                   const std::string& then = "") {
  std::size_t at = text.find(label);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t end = std::min(text.find('\n', at), text.size());
  at += label.size();
  if (!then.empty()) {
    at = text.find(then, at);
    if (at == std::string::npos || at >= end) return std::nullopt;
    at += then.size();
  }
  at = text.find_first_not_of(' ', at);
  if (at == std::string::npos || at >= end) return std::nullopt;
  double number = 0;
  const auto parsed = std::from_chars(text.data() + at, text.data() + end, number);
  if (parsed.ec != std::errc()) return std::nullopt;
  return number;
}

}  // namespace

std::expected<SysbenchFigures, std::string> parse_sysbench(const std::string& output) {
  const auto queries = number_after(output, "queries:");
  const auto rate = number_after(output, "queries:", "(");
  const auto errors = number_after(output, "ignored errors:");
  const auto average = number_after(output, "avg:");
  const auto p95 = number_after(output, "95th percentile:");
  if (!queries || !rate || !errors || !average || !p95) {
    return std::unexpected("cannot read sysbench's output:\n" + testbed::last_lines(output, 30));
  }
  return SysbenchFigures{.queries = *queries,
                         .queries_per_second = *rate,
                         .latency_avg_ms = *average,
                         .latency_p95_ms = *p95,
                         .errors = *errors};
}

namespace {

std::expected<SysbenchFigures, std::string> figures_of(const std::expected<std::string, std::string>& output,
                                                       Workload workload) {
  if (!output) return std::unexpected(output.error());
  auto figures = parse_sysbench(*output);
  if (figures && figures->errors > 0 && workload != Workload::read_write)
    return std::unexpected("sysbench saw errors:\n" + testbed::last_lines(*output, 30));
  return figures;
}

}  // namespace

std::expected<Sysbench, std::string> Sysbench::create(Options options) {
  auto scripts = testbed::TempDirectory::create("sysbench");
  if (!scripts) return std::unexpected(scripts.error());
  Sysbench sysbench(std::move(options), std::move(*scripts));
  for (const Workload workload : all_workloads) {
    const Script script = script_of(workload);
    if (script.lua == nullptr) continue;
    if (auto written = testbed::write_file(sysbench.lua_file(workload), script.lua); !written)
      return std::unexpected(written.error());
  }
  return sysbench;
}

std::string Sysbench::lua_file(Workload workload) const {
  return (scripts_.path() / (std::string(to_string(workload)) + ".lua")).string();
}

std::expected<std::string, std::string> Sysbench::call(const conf::HostPort& address, Workload workload,
                                                       std::vector<std::string> arguments,
                                                       std::chrono::seconds timeout) const {
  const Script script = script_of(workload);
  std::vector<std::string> argv{"sysbench",
                                script.builtin != nullptr ? script.builtin : lua_file(workload),
                                "--db-driver=mysql",
                                "--mysql-host=" + address.host,
                                "--mysql-port=" + std::to_string(address.port),
                                "--mysql-user=" + options_.login.user,
                                "--mysql-password=" + options_.login.password,
                                "--mysql-db=" + options_.database};
  if (script.builtin != nullptr) {
    // Uniform: the rows that are hot by default make read-write a benchmark of locks.
    argv.insert(argv.end(),
                {"--tables=1", "--table-size=" + std::to_string(options_.table_size), "--rand-type=uniform"});
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto finished = testbed::run({.argv = argv}, timeout);
  if (!finished) return std::unexpected(finished.error() + "; tests/install bench gets sysbench");
  if (finished->code != 0) {
    return std::unexpected("sysbench " + std::string(to_string(workload)) + " on " +
                           conf::to_string(address) +
                           (finished->timed_out ? " did not end in time" : " failed") + ":\n" +
                           testbed::last_lines(finished->out + finished->err, 20));
  }
  return finished->out;
}

std::expected<void, std::string> Sysbench::prepare(const conf::HostPort& server) const {
  for (const Workload workload : {Workload::point_select, Workload::bulk}) {
    if (auto done = call(server, workload, {"prepare"}, prepare_timeout); !done)
      return std::unexpected(done.error());
  }
  return {};
}

std::expected<SysbenchFigures, std::string> Sysbench::run(const conf::HostPort& address, Workload workload,
                                                          unsigned clients, std::chrono::seconds time) const {
  return figures_of(
      call(address, workload,
           {"--threads=" + std::to_string(clients), "--time=" + std::to_string(time.count()), "run"},
           time + grace),
      workload);
}

std::expected<SysbenchFigures, std::string> Sysbench::run(const conf::HostPort& address, Workload workload,
                                                          unsigned clients, unsigned events,
                                                          std::chrono::seconds timeout) const {
  return figures_of(
      call(address, workload,
           {"--threads=" + std::to_string(clients), "--time=0", "--events=" + std::to_string(events), "run"},
           timeout),
      workload);
}

}  // namespace pointsman::bench
