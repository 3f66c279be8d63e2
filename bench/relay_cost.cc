#include "bench/relay_cost.h"

#include <chrono>
#include <utility>

#include "bench/counting.h"
#include "bench/relay_scale.h"
#include "bench/table.h"
#include "tests/testbed/daemon.h"

namespace pointsman::bench {

const char* const cost_definitions =
    R"(sysbench through Pointsman and through HAProxy in TCP mode, both with one thread, in a number of
transactions and then in a larger one; what is counted is divided by the queries that the second has more, so
that logins and what the counting itself does fall out of it. Workloads as for `relay`.
  instructions   in user space, by valgrind's callgrind; of Pointsman those of its worker thread, of HAProxy all.
                 Valgrind cannot run io_uring: Pointsman's are those of its relay by epoll.
  calls          system calls of the same threads, by strace. Both programs are slower under it, so with several
                 clients each wake-up finds more to do than it would otherwise; with one client it makes no
                 difference.
  beside idle    with logged-in sessions that are silent.)";

namespace {

using Outcome = std::expected<void, std::string>;

constexpr std::array works{
    CostWork{Workload::point_select, 1, false, 500, 3000},
    CostWork{Workload::point_select, 16, false, 500, 3000}, CostWork{Workload::bulk, 1, false, 20, 120},
    CostWork{Workload::connect, 1, false, 50, 350}, CostWork{Workload::point_select, 1, true, 500, 3000}};

constexpr std::chrono::seconds work_timeout{300};
constexpr testbed::Millis steady_timeout{120000};
constexpr const char* worker_name = "worker-";
// What only a worker's thread runs.
constexpr const char* worker_function = "pointsman::proxy::Poller::run";

// Under callgrind everything takes fifty times as long, and none of that is a failure; and there is no
// io_uring.
const testbed::Keys keys_under_callgrind{{"monitor", {{"interval", "\"5s\""}, {"timeout", "\"20s\""}}},
                                         {"heartbeat", {{"deadtime", "\"60s\""}}},
                                         {"proxy", {{"io_uring", "false"}}}};

}  // namespace

Outcome RelayCost::run() {
  if (auto found = find_counting_programs(); !found) return found;
  idle_ = affordable_sessions(options_.idle_connections, 0);
  if (idle_ < options_.idle_connections)
    progress_("the limit of open files (ulimit -n) allows " + std::to_string(idle_) + " idle sessions");
  for (const CostWork& work : works) {
    if (work.beside_idle && idle_ == 0) continue;
    rows_.push_back({.work = work, .idle = work.beside_idle ? idle_ : 0});
  }
  progress_("starting the servers and pointsman");
  auto stage = Stage::create(stage_for_sessions(1, idle_));
  if (!stage) return std::unexpected(stage.error());
  if (auto stopped = stop_applying(**stage); !stopped) return stopped;
  const auto& accounts = (*stage)->cluster().accounts();
  const auto sysbench = Sysbench::create({.login = accounts.application, .database = accounts.database});
  if (!sysbench) return std::unexpected(sysbench.error());
  if (auto prepared = sysbench->prepare((*stage)->cluster().server(0).address()); !prepared) return prepared;
  if (auto done = count_calls(**stage, *sysbench); !done) return done;
  return count_instructions(**stage, *sysbench);
}

Outcome RelayCost::count_calls(Stage& stage, const Sysbench& sysbench) {
  auto haproxy = Haproxy::start(stage.cluster().server(0).address(), 1, stage_connections(idle_));
  if (!haproxy) return std::unexpected(haproxy.error());
  const testbed::Daemon& daemon = stage.daemon();
  for (const Target& target : {Target{Path::pointsman, daemon.address(), daemon.pid()},
                               Target{Path::haproxy, (*haproxy)->address(), (*haproxy)->pid()}}) {
    progress_(std::string(to_string(target.path)) + ": counting system calls");
    std::optional<Strace> strace;
    const Counter counter{.begin = [&]() -> Outcome {
                            const char* name = target.path == Path::pointsman ? worker_name : "";
                            auto attached = Strace::attach(threads_of(target.pid, name));
                            if (!attached) return std::unexpected(attached.error());
                            strace = std::move(*attached);
                            return {};
                          },
                          .end = [&] { return strace->counted(); }};
    const auto store = [](CostRow::Cost& cost, CallCounts each) { cost.calls = std::move(each); };
    if (auto done = count_rows(target, stage.cluster().accounts().application, sysbench, counter, store);
        !done)
      return done;
  }
  return {};
}

Outcome RelayCost::count_instructions(Stage& stage, const Sysbench& sysbench) {
  auto ours = Callgrind::create();
  auto theirs = Callgrind::create();
  if (!ours) return std::unexpected(ours.error());
  if (!theirs) return std::unexpected(theirs.error());
  const auto program = ours->wrapper(stage.daemon().program(), "run");
  if (!program) return std::unexpected(program.error());
  progress_("starting pointsman and haproxy under callgrind");
  if (auto stopped = stage.daemon().stop(); !stopped) return std::unexpected(stopped.error());
  auto options = testbed::Daemon::options_for(stage.cluster());
  options.program = *program;
  options.keys = testbed::merged(stage.options().daemon_keys, keys_under_callgrind);
  const auto daemon = testbed::Daemon::create(std::move(options), steady_timeout);
  if (!daemon) return std::unexpected("under callgrind: " + daemon.error());
  auto haproxy =
      Haproxy::start(stage.cluster().server(0).address(), 1, stage_connections(idle_), theirs->command());
  if (!haproxy) return std::unexpected("under callgrind: " + haproxy.error());
  for (const Target& target : {Target{Path::pointsman, (*daemon)->address(), (*daemon)->pid()},
                               Target{Path::haproxy, (*haproxy)->address(), (*haproxy)->pid()}}) {
    progress_(std::string(to_string(target.path)) + ": counting instructions");
    const bool is_ours = target.path == Path::pointsman;
    const auto counted = [&]() -> std::expected<CallCounts, std::string> {
      const auto instructions =
          (is_ours ? *ours : *theirs).counted(target.pid, is_ours ? worker_function : "");
      if (!instructions) return std::unexpected(instructions.error());
      return CallCounts{{"instructions", *instructions}};
    };
    const Counter counter{.begin = [&]() -> Outcome {
                            // What came before counts for nobody; a thread that did nothing is no fault here.
                            static_cast<void>(counted());
                            return {};
                          },
                          .end = counted};
    const auto store = [](CostRow::Cost& cost, const CallCounts& each) { cost.instructions = total(each); };
    if (auto done = count_rows(target, stage.cluster().accounts().application, sysbench, counter, store);
        !done)
      return done;
  }
  return {};
}

Outcome RelayCost::count_rows(const Target& target, const testbed::Login& login, const Sysbench& sysbench,
                              const Counter& counter,
                              const std::function<void(CostRow::Cost&, CallCounts)>& store) {
  for (CostRow& row : rows_) {
    if (stop_()) return std::unexpected("interrupted");
    std::vector<testbed::Sql> idle;
    if (auto opened = open_idle(row.idle, target.address, login, stop_, idle); !opened) return opened;
    auto each = count(target, row.work, sysbench, counter);
    if (!each) return std::unexpected(std::string(to_string(target.path)) + ": " + each.error());
    store(row.costs[static_cast<std::size_t>(target.path)], std::move(*each));
  }
  return {};
}

std::expected<CallCounts, std::string> RelayCost::count(const Target& target, const CostWork& work,
                                                        const Sysbench& sysbench,
                                                        const Counter& counter) const {
  std::array<CallCounts, 2> counts;
  std::array<double, 2> queries{};
  for (const std::size_t i : {0U, 1U}) {
    if (auto begun = counter.begin(); !begun) return std::unexpected(begun.error());
    const auto figures = sysbench.run(target.address, work.workload, work.clients,
                                      i == 0 ? work.events : work.more_events, work_timeout);
    if (!figures) return std::unexpected(figures.error());
    auto counted = counter.end();
    if (!counted) return std::unexpected(counted.error());
    counts[i] = std::move(*counted);
    queries[i] = figures->queries;
  }
  if (queries[1] <= queries[0]) return std::unexpected("sysbench did not do what it was told");
  return per_query(counts[0], counts[1], queries[1] - queries[0]);
}

std::string cost_text(const std::vector<CostRow>& rows) {
  Table table({"per query", "clients", "idle", "instructions: pointsman", "haproxy", "ratio",
               "calls: pointsman", "haproxy", "ratio"});
  std::string calls;
  const auto ratio = [](double ours, double theirs) {
    return theirs > 0 ? format_number(ours / theirs, 3) : std::string("-");
  };
  for (const CostRow& row : rows) {
    const auto& ours = row.of(Path::pointsman);
    const auto& theirs = row.of(Path::haproxy);
    table.add({to_string(row.work.workload), std::to_string(row.work.clients), format_number(row.idle),
               format_number(ours.instructions), format_number(theirs.instructions),
               ratio(ours.instructions, theirs.instructions), format_number(total(ours.calls), 2),
               format_number(total(theirs.calls), 2), ratio(total(ours.calls), total(theirs.calls))});
    for (const Path path : {Path::pointsman, Path::haproxy}) {
      calls += "  " + std::string(to_string(row.work.workload)) + ", " + std::to_string(row.work.clients) +
               " clients, " + format_number(row.idle) + " idle, " + to_string(path) + ":";
      for (const auto& [name, count] : row.of(path).calls) {
        if (count >= 0.005) calls += " " + name + " " + format_number(count, 2);
      }
      calls += "\n";
    }
  }
  return table.text() + "\n" + calls;
}

nlohmann::json cost_json(const std::vector<CostRow>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const CostRow& row : rows) {
    nlohmann::json one = {{"workload", to_string(row.work.workload)},
                          {"clients", row.work.clients},
                          {"idle_connections", row.idle}};
    for (const Path path : {Path::pointsman, Path::haproxy}) {
      one[to_string(path)] = {{"instructions_per_query", row.of(path).instructions},
                              {"calls_per_query", row.of(path).calls}};
    }
    all.push_back(std::move(one));
  }
  return {{"rows", all}};
}

}  // namespace pointsman::bench
