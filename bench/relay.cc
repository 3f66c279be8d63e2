#include "bench/relay.h"

#include <utility>

#include "bench/process_usage.h"
#include "bench/table.h"

namespace pointsman::bench {

const char* const relay_definitions =
    R"(sysbench oltp_point_select on a table of 10,000 rows of one MariaDB server: directly, through Pointsman and
through HAProxy in TCP mode with the same number of threads, one after another in each round. The ratios are
taken within a round, so that what else the machine does meets both sides alike.
  CPU ms/1000    CPU time of the proxy's process (all threads, user and system) per 1000 queries, in ms.
  of direct      queries per second through the proxy divided by those without one, median of the rounds.
  memory         resident, before the first query and with that many logged-in connections that do nothing.
Sysbench, the server and the proxy share the machine's cores.)";

namespace {

using Outcome = std::expected<void, std::string>;

constexpr std::chrono::seconds warm_up{1};

}  // namespace

const char* to_string(Path path) {
  switch (path) {
    case Path::direct:
      return "direct";
    case Path::pointsman:
      return "pointsman";
    case Path::haproxy:
      return "haproxy";
  }
  return "?";
}

Outcome RelayBench::run() {
  for (const unsigned threads : options_.threads) {
    if (auto done = run_with(threads); !done) return done;
  }
  return {};
}

Outcome RelayBench::run_with(unsigned threads) {
  progress_("starting the servers, pointsman and haproxy with threads " + std::to_string(threads));
  auto stage = Stage::create({.threads = threads});
  if (!stage) return std::unexpected(stage.error());
  const conf::HostPort server = (*stage)->cluster().server(0).address();
  auto haproxy = Haproxy::start(server, threads);
  if (!haproxy) return std::unexpected(haproxy.error());
  haproxy_version_ = (*haproxy)->version();
  haproxy_configuration_ = (*haproxy)->configuration();
  const auto& accounts = (*stage)->cluster().accounts();
  const Sysbench sysbench({.login = accounts.application, .database = accounts.database});
  if (auto prepared = sysbench.prepare(server); !prepared) return prepared;

  const testbed::Daemon& daemon = (*stage)->daemon();
  const std::array targets{Target{Path::direct, server, 0},
                           Target{Path::pointsman, daemon.address(), daemon.pid()},
                           Target{Path::haproxy, (*haproxy)->address(), (*haproxy)->pid()}};
  for (const Target& target : targets) {
    if (target.pid == 0) continue;
    if (auto done = measure_memory(target, threads, accounts.application); !done) return done;
  }
  for (const unsigned clients : options_.clients) {
    RelaySeries series;
    series.threads = threads;
    series.clients = clients;
    if (auto done = measure(series, targets, sysbench); !done) return done;
    series_.push_back(std::move(series));
  }
  return {};
}

Outcome RelayBench::measure_memory(const Target& target, unsigned threads, const testbed::Login& login) {
  RelayMemory memory{.threads = threads, .path = target.path};
  const auto fresh = resident_kib(target.pid);
  if (!fresh) return std::unexpected(fresh.error());
  memory.fresh_kib = *fresh;
  std::vector<testbed::Sql> idle;
  for (unsigned i = 0; i < options_.idle_connections; ++i) {
    auto sql = testbed::Sql::connect({.address = target.address, .login = login});
    if (!sql)
      return std::unexpected("idle connection " + std::to_string(i + 1) + " through " +
                             to_string(target.path) + ": " + sql.error().text);
    idle.push_back(std::move(*sql));
  }
  const auto full = resident_kib(target.pid);
  if (!full) return std::unexpected(full.error());
  memory.idle_kib = *full;
  memory_.push_back(memory);
  return {};
}

Outcome RelayBench::measure(RelaySeries& series, const std::array<Target, 3>& targets,
                            const Sysbench& sysbench) {
  for (const Target& target : targets) {
    if (auto warmed = sample(target, series.clients, sysbench, warm_up); !warmed)
      return std::unexpected(warmed.error());
  }
  for (unsigned round = 0; round < options_.rounds; ++round) {
    if (stop_()) return std::unexpected("interrupted");
    std::string line = "threads " + std::to_string(series.threads) + ", clients " +
                       std::to_string(series.clients) + ", round " + std::to_string(round + 1) + "/" +
                       std::to_string(options_.rounds) + ":";
    for (const Target& target : targets) {
      auto taken = sample(target, series.clients, sysbench, options_.time);
      if (!taken) return std::unexpected(std::string(to_string(target.path)) + ": " + taken.error());
      line +=
          std::string("  ") + to_string(target.path) + " " + format_number(taken->figures.queries_per_second);
      series.samples[static_cast<std::size_t>(target.path)].push_back(*taken);
    }
    progress_(line);
  }
  return {};
}

std::expected<RelaySample, std::string> RelayBench::sample(const Target& target, unsigned clients,
                                                           const Sysbench& sysbench,
                                                           std::chrono::seconds time) const {
  const auto cpu = [&target]() -> std::expected<double, std::string> {
    return target.pid == 0 ? 0.0 : cpu_seconds(target.pid);
  };
  const auto before = cpu();
  if (!before) return std::unexpected(before.error());
  const auto figures = sysbench.run(target.address, clients, time);
  if (!figures) return std::unexpected(figures.error());
  const auto after = cpu();
  if (!after) return std::unexpected(after.error());
  return RelaySample{.figures = *figures, .cpu_s = *after - *before};
}

}  // namespace pointsman::bench
