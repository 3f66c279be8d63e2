#include "bench/relay_scale.h"

#include <chrono>
#include <utility>

#include "bench/process_usage.h"
#include "bench/relay.h"
#include "bench/table.h"
#include "proxy/sockets.h"

namespace pointsman::bench {

namespace {

using Outcome = std::expected<void, std::string>;

constexpr unsigned scale_rounds = 3;
constexpr unsigned spare_connections = 100;
constexpr rlim_t spare_files = 700;

}  // namespace

// Two for each session of a proxy.
unsigned affordable_sessions(unsigned idle, unsigned busy) {
  const rlim_t fixed = rlim_t{2} * stage_connections(busy) + spare_files;
  const rlim_t allowed = proxy::raise_file_limit(fixed + rlim_t{2} * idle);
  if (allowed >= fixed + rlim_t{2} * idle) return idle;
  return allowed > fixed ? static_cast<unsigned>((allowed - fixed) / 2) : 0;
}

unsigned stage_connections(unsigned sessions) {
  return sessions + spare_connections;
}

Stage::Options stage_for_sessions(unsigned threads, unsigned sessions) {
  const unsigned connections = stage_connections(sessions);
  return relay_stage(threads,
                     {"max_connections = " + std::to_string(connections), "thread_handling = pool-of-threads",
                      "open_files_limit = " + std::to_string(connections + spare_files), "back_log = 4096"},
                     connections);
}

Outcome open_idle(unsigned count, const conf::HostPort& address, const testbed::Login& login,
                  const std::function<bool()>& stop, std::vector<testbed::Sql>& sessions) {
  sessions.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    if (stop()) return std::unexpected("interrupted");
    auto sql = testbed::Sql::connect({.address = address, .login = login});
    if (!sql) return std::unexpected("idle session " + std::to_string(i + 1) + ": " + sql.error().text);
    sessions.push_back(std::move(*sql));
  }
  return {};
}

Outcome RelayBench::run_scale(unsigned threads) {
  const unsigned idle = affordable_sessions(options_.idle_connections, options_.busy_connections);
  if (idle == 0)
    return std::unexpected("the limit of open files (ulimit -n) leaves room for no idle session");
  if (idle < options_.idle_connections) {
    progress_("the limit of open files (ulimit -n) allows " + std::to_string(idle) +
              " idle sessions and not " + std::to_string(options_.idle_connections));
  }
  progress_("starting the servers, pointsman and haproxy with threads " + std::to_string(threads) + " for " +
            std::to_string(idle) + " idle sessions");
  const unsigned sessions = idle + options_.busy_connections;
  auto stage = Stage::create(stage_for_sessions(threads, sessions));
  if (!stage) return std::unexpected(stage.error());
  if (auto stopped = stop_applying(**stage); !stopped) return stopped;
  const conf::HostPort server = (*stage)->cluster().server(0).address();
  auto haproxy = Haproxy::start(server, threads, stage_connections(sessions));
  if (!haproxy) return std::unexpected(haproxy.error());
  const auto& accounts = (*stage)->cluster().accounts();
  const auto sysbench = Sysbench::create({.login = accounts.application, .database = accounts.database});
  if (!sysbench) return std::unexpected(sysbench.error());
  if (auto prepared = sysbench->prepare(server); !prepared) return prepared;
  const testbed::Daemon& daemon = (*stage)->daemon();
  for (const Target& target : {Target{Path::pointsman, daemon.address(), daemon.pid()},
                               Target{Path::haproxy, (*haproxy)->address(), (*haproxy)->pid()}}) {
    RelayScale scale{.path = target.path,
                     .threads = threads,
                     .idle = idle,
                     .busy = options_.busy_connections,
                     .beside = {},
                     .alone = {}};
    if (auto done = measure_scale(scale, target, accounts.application, *sysbench); !done)
      return std::unexpected(std::string(to_string(target.path)) + ": " + done.error());
    scale_.push_back(std::move(scale));
  }
  return {};
}

Outcome RelayBench::measure_scale(RelayScale& scale, const Target& target, const testbed::Login& login,
                                  const Sysbench& sysbench) {
  const auto fresh = resident_kib(target.pid);
  if (!fresh) return std::unexpected(fresh.error());
  scale.fresh_kib = *fresh;
  std::vector<testbed::Sql> idle;
  const auto began = std::chrono::steady_clock::now();
  if (auto opened = open_idle(scale.idle, target.address, login, stop_, idle); !opened) return opened;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  scale.logins_per_second = scale.idle / took.count();
  const auto full = resident_kib(target.pid);
  if (!full) return std::unexpected(full.error());
  scale.idle_kib = *full;
  progress_(std::string(to_string(target.path)) + ": " + std::to_string(scale.idle) + " idle sessions, " +
            format_number(scale.kib_each(), 2) + " KiB each");
  for (auto* samples : {&scale.beside, &scale.alone}) {
    for (unsigned round = 0; round < scale_rounds; ++round) {
      if (stop_()) return std::unexpected("interrupted");
      auto taken = sample(target, Workload::point_select, scale.busy, sysbench, options_.time);
      if (!taken) return std::unexpected(taken.error());
      progress_(std::string(to_string(target.path)) + ": " + std::to_string(scale.busy) +
                " busy clients beside " + std::to_string(idle.size()) +
                " idle ones: " + format_number(taken->figures.queries_per_second));
      samples->push_back(*taken);
    }
    idle.clear();
  }
  return {};
}

}  // namespace pointsman::bench
