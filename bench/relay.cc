#include "bench/relay.h"

#include <utility>

#include "bench/process_usage.h"
#include "bench/table.h"

namespace pointsman::bench {

const char* const relay_definitions =
    R"(sysbench on one MariaDB server: directly, through Pointsman and through HAProxy in TCP mode with the same
number of threads, one after another in each round. The ratios are taken within a round, so that what else the
machine does meets both sides alike.
  point-select   oltp_point_select on a table of 10,000 rows.
  read-write     oltp_read_write on it, 20 queries a transaction; the server does not wait for the disk.
  bulk           one row of 1 MB a query.
  connect        a login, one query, a logout; counted as one query.
  CPU ms/1000    CPU time of the proxy's process (all threads, user and system) per 1000 queries, in ms.
  of direct      queries per second through the proxy divided by those without one, median of the rounds.
  pointsman/haproxy  of the rounds' ratios the median, the smallest and the largest; of queries per second
                 (above 1 Pointsman is faster) and of CPU time per query (below 1 it is cheaper).
  idle sessions  logged in and silent, in a process that has served nobody before; memory is what they add to the
                 resident memory of the proxy. Then many clients send point selects beside them, and again
                 without them. The server has a pool of threads for that, as it could not have one for each.
Sysbench, the server and the proxy share the machine's cores.)";

namespace {

using Outcome = std::expected<void, std::string>;

constexpr std::chrono::seconds warm_up{1};

// The disk is not what is measured, and overload shall not look like the death of the primary: the daemon
// hears nothing of the clients that go past it.
const std::vector<std::string> server_settings{"sync_binlog = 0", "innodb_flush_log_at_trx_commit = 0",
                                               "innodb_buffer_pool_size = 256M",
                                               "innodb_log_file_size = 256M"};

}  // namespace

// The replica goes on receiving, but does not take the cores of what is measured in order to apply.
Outcome stop_applying(Stage& stage) {
  auto sql = stage.cluster().server(1).root();
  if (!sql) return std::unexpected(sql.error().text);
  if (auto stopped = sql->execute("STOP SLAVE SQL_THREAD"); !stopped)
    return std::unexpected(stopped.error().text);
  return {};
}

Stage::Options relay_stage(unsigned threads, std::vector<std::string> more_settings,
                           unsigned max_connections) {
  Stage::Options options{.semi_sync = conf::SemiSync::off, .threads = threads, .settings = server_settings};
  options.settings.insert(options.settings.end(), more_settings.begin(), more_settings.end());
  options.daemon_keys = {{"failover", {{"automatic", "false"}}},
                         {"proxy", {{"max_connections", std::to_string(max_connections)}}}};
  return options;
}

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
  if (options_.idle_connections == 0) return {};
  for (const unsigned threads : options_.threads) {
    if (auto done = run_scale(threads); !done) return done;
  }
  return {};
}

Outcome RelayBench::run_with(unsigned threads) {
  if (options_.workloads.empty()) return {};
  progress_("starting the servers, pointsman and haproxy with threads " + std::to_string(threads));
  constexpr unsigned max_connections = 4000;  // Pointsman's default
  auto stage = Stage::create(relay_stage(threads, {}, max_connections));
  if (!stage) return std::unexpected(stage.error());
  if (auto stopped = stop_applying(**stage); !stopped) return stopped;
  const conf::HostPort server = (*stage)->cluster().server(0).address();
  auto haproxy = Haproxy::start(server, threads, max_connections);
  if (!haproxy) return std::unexpected(haproxy.error());
  haproxy_version_ = (*haproxy)->version();
  haproxy_configuration_ = (*haproxy)->configuration();
  const auto& accounts = (*stage)->cluster().accounts();
  const auto sysbench = Sysbench::create({.login = accounts.application, .database = accounts.database});
  if (!sysbench) return std::unexpected(sysbench.error());
  if (auto prepared = sysbench->prepare(server); !prepared) return prepared;

  const testbed::Daemon& daemon = (*stage)->daemon();
  const std::array targets{Target{Path::direct, server, 0},
                           Target{Path::pointsman, daemon.address(), daemon.pid()},
                           Target{Path::haproxy, (*haproxy)->address(), (*haproxy)->pid()}};
  for (const Workload workload : options_.workloads) {
    for (const unsigned clients : options_.clients) {
      series_.push_back({.workload = workload, .threads = threads, .clients = clients, .samples = {}});
      if (auto done = measure(series_.back(), targets, *sysbench); !done) return done;
    }
  }
  return {};
}

Outcome RelayBench::measure(RelaySeries& series, const std::array<Target, 3>& targets,
                            const Sysbench& sysbench) {
  for (const Target& target : targets) {
    if (auto warmed = sample(target, series.workload, series.clients, sysbench, warm_up); !warmed)
      return std::unexpected(warmed.error());
  }
  for (unsigned round = 0; round < options_.rounds; ++round) {
    if (stop_()) return std::unexpected("interrupted");
    std::string line = "threads " + std::to_string(series.threads) + ", " + to_string(series.workload) +
                       ", clients " + std::to_string(series.clients) + ", round " +
                       std::to_string(round + 1) + "/" + std::to_string(options_.rounds) + ":";
    for (const Target& target : targets) {
      auto taken = sample(target, series.workload, series.clients, sysbench, options_.time);
      if (!taken) return std::unexpected(std::string(to_string(target.path)) + ": " + taken.error());
      line +=
          std::string("  ") + to_string(target.path) + " " + format_number(taken->figures.queries_per_second);
      series.samples[static_cast<std::size_t>(target.path)].push_back(*taken);
    }
    progress_(line);
  }
  return {};
}

std::expected<RelaySample, std::string> RelayBench::sample(const Target& target, Workload workload,
                                                           unsigned clients, const Sysbench& sysbench,
                                                           std::chrono::seconds time) const {
  const auto cpu = [&target]() -> std::expected<double, std::string> {
    return target.pid == 0 ? 0.0 : cpu_seconds(target.pid);
  };
  const auto before = cpu();
  if (!before) return std::unexpected(before.error());
  const auto figures = sysbench.run(target.address, workload, clients, time);
  if (!figures) return std::unexpected(figures.error());
  const auto after = cpu();
  if (!after) return std::unexpected(after.error());
  return RelaySample{.figures = *figures, .cpu_s = *after - *before};
}

}  // namespace pointsman::bench
