#include "bench/failover_report.h"

#include <algorithm>
#include <functional>

#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

const char* const failover_definitions =
    R"(Scenarios, and what they happen to (agents: see --agents, --links; their times: --deadtime and so on):
  crash          SIGKILL of mysqld.
  hang           SIGSTOP of mysqld beside its agent, which kills it.
  freeze         SIGSTOP of mysqld without agents; it is thawed later.
  host-dead      eth0 and serial line cut and then all processes killed; default deadtime 300 ms, keepalive 50 ms.
  cut-eth0       eth0 cut, the serial line alive: the fence is ordered and acknowledged over it.
  cut-serial     the serial line cut, eth0 alive: the primary must stay, and status say which link is dead.
  switchover     `pointsman switchover`.
host-dead, cut-eth0 and cut-serial run in network namespaces and need root.

What is measured, on CLOCK_MONOTONIC, by writers that commit one row after another through the proxy:
  gap            from the last commit that the old primary acknowledged to the first that the new one did,
                 over all writers. Which server acknowledged a row is told by the row, which holds @@server_id.
  gap, slowest   the longest such gap of one writer by itself.
  since_event    from the event to the first commit that the new primary acknowledged. The event is the moment
                 before the signal, the cut, or `pointsman switchover` as a program (its own start is in
                 since_event, not in gap).
  routed         from the event to the first login of a writer at the new primary.
  beyond deadtime  routed, less deadtime: what is not waiting for silence to last.
  client ...     the way of the writer that committed first: its connection ended, it was logged in again, it had
                 committed; each from the event.
  died           from SIGKILL (host-dead: the cut) until the kernel had taken the killed server down.
  step ...       each step as `pointsman events` gives it; total is the daemon's, from the evidence on.
  rejoin         from the restart (thaw, mending, event) of the old primary until the servers themselves say that
                 it follows the new one and has all its rows, and the daemon is steady and hears both agents.
                 That includes taking back what only it has; the line below the table says how often, and how many
                 transactions, by the GTIDs in `pointsman events` (MariaDB: at most so many).
  longest pause  cut-serial: without a commit of any writer (one writer: of one by itself), in a time after the cut
                 and in one as long before it. Noticed, mended: until status says the link dead, alive.
  latency ...    with --rate: from when a commit was due until it was acknowledged, however often it was tried;
                 before: of those due in the second before the event and answered by then; from the event: of all
                 others that were due until three seconds after it. Each run's own percentiles.
A gap lies between two commits and so does not depend on how many were tried meanwhile: there is no coordinated
omission in it. A latency would have it if writers waited for their answers: then a whole outage is one slow commit
of each. So with --rate all that was due meanwhile counts, from when it was due. A gap is then as fine as the rate.
Every acknowledged row is looked for on the new primary; a missing one makes exit status 1.
With --semi-sync required the new primary acknowledges nothing until the old one has returned as its replica: gap
and since_event then include its return, and routed does not. Measure speed with preferred, and loss with
required.)";

namespace {

using Values = std::vector<double>;

Values collect(std::span<const FailoverRun> runs,
               const std::function<std::optional<double>(const FailoverRun&)>& value) {
  Values values;
  for (const FailoverRun& run : runs) {
    if (const auto found = value(run)) values.push_back(*found);
  }
  return values;
}

// Steps in the order of their first appearance: not every run has every step.
std::vector<FailoverRow> step_rows(std::span<const FailoverRun> runs) {
  std::vector<FailoverRow> rows;
  for (const FailoverRun& run : runs) {
    const auto steps = run.change.value("steps", nlohmann::json::array());
    for (const auto& step : steps) {
      const std::string name = "step " + step.value("name", "?");
      auto row = std::ranges::find(rows, name, &FailoverRow::name);
      if (row == rows.end()) row = rows.insert(rows.end(), {name, {}});
      row->values_ms.push_back(step.value("ms", 0.0));
    }
  }
  return rows;
}

std::vector<const ClientRun*> clients_of(std::span<const FailoverRun> runs) {
  std::vector<const ClientRun*> clients;
  for (const FailoverRun& run : runs) clients.push_back(&run);
  return clients;
}

std::vector<FailoverRun> only(std::span<const FailoverRun> runs, Scenario scenario) {
  std::vector<FailoverRun> kept;
  std::ranges::copy_if(runs, std::back_inserter(kept),
                       [scenario](const FailoverRun& run) { return run.scenario == scenario; });
  return kept;
}

template <typename Predicate>
std::string count_of(std::span<const FailoverRun> runs, Predicate predicate) {
  return std::to_string(std::ranges::count_if(runs, predicate));
}

std::vector<FailoverRow> calm_rows(std::span<const FailoverRun> runs) {
  const auto row = [runs](const char* name, double Calm::* value) {
    return FailoverRow{name, collect(runs, [value](const FailoverRun& run) {
                         return run.calm ? std::optional((*run.calm).*value) : std::nullopt;
                       })};
  };
  return {row("longest pause", &Calm::pause_ms),
          row("longest pause before", &Calm::pause_before_ms),
          row("longest, one writer", &Calm::slowest_pause_ms),
          row("longest before, one writer", &Calm::slowest_pause_before_ms),
          row("noticed", &Calm::noticed_ms),
          row("mended", &Calm::mended_ms),
          {"a commit before", collect(runs, [](const FailoverRun& run) { return run.commit_ms; })}};
}

std::string calm_text(std::span<const FailoverRun> runs, const std::string& rows) {
  const auto one_down = [](const FailoverRun& run) { return run.calm && run.calm->links_down.size() == 1; };
  std::string text = "  " + rows + "; no failover; exactly one link reported dead in " +
                     count_of(runs, one_down) + " of " + std::to_string(runs.size()) + "\n";
  for (const FailoverRun& run : runs) {
    if (!run.calm || one_down(run)) continue;
    text += "  run " + std::to_string(run.number) + ":";
    for (const std::string& link : run.calm->links_down) text += " " + link + ";";
    text += "\n";
  }
  return text;
}

std::string tails_text(std::span<const FailoverRun> runs) {
  const auto has_tail = [](const FailoverRun& run) { return run.taken_back > 0; };
  std::uint64_t all = 0;
  std::uint64_t longest = 0;
  for (const FailoverRun& run : runs) {
    all += run.taken_back;
    longest = std::max(longest, run.taken_back);
  }
  if (all == 0) return "  nothing had to be taken back\n";
  return "  came back with transactions that nobody had an answer to " + count_of(runs, has_tail) + " of " +
         std::to_string(runs.size()) + ", saved and taken back: " + std::to_string(all) + ", at most " +
         std::to_string(longest) + " at once\n";
}

std::string scenario_text(const FailoverOptions& options, Scenario scenario,
                          std::span<const FailoverRun> runs) {
  std::string text = std::string(to_string(scenario)) + ", " + testbed::to_string(options.product) +
                     ", semi-sync " + to_string(options.semi_sync) + ", " + std::to_string(options.clients) +
                     " writers, " + std::to_string(runs.size()) + " runs (ms)\n";
  if (const auto setup = setup_for(scenario, options.wishes)) text += "  " + describe(*setup) + "\n";
  for (const std::string& line : options.settings) text += "  my.cnf: " + line + "\n";
  for (const auto& [section, keys] : options.keys) {
    for (const auto& [key, value] : keys)
      text.append("  pointsman.toml: ").append(section).append(".").append(key).append(" = ").append(value) +=
          "\n";
  }
  Table table({"", "min", "median", "p95", "max"});
  for (const FailoverRow& row : failover_rows(runs)) table.add(cells_of(row));
  text += table.text();
  if (options.rate) text += latency_text(clients_of(runs), *options.rate);
  std::size_t acknowledged = 0;
  for (const FailoverRun& run : runs) acknowledged += run.acknowledged;
  const std::string rows = format_number(static_cast<double>(acknowledged)) + " rows acknowledged, " +
                           std::to_string(total_missing(runs)) + " missing";
  if (!moves_primary(scenario)) return text + calm_text(runs, rows);
  text += "  " + rows + " on the new primary; rejoined by itself " +
          count_of(runs, [](const FailoverRun& run) { return run.rejoined; }) + " of " +
          std::to_string(runs.size()) + ", quarantined and rebuilt " +
          count_of(runs, [](const FailoverRun& run) { return run.quarantined; }) + "\n";
  text += tails_text(runs);
  if (scenario == Scenario::hang || scenario == Scenario::cut_eth0) {
    text += "  killed by the agent " +
            count_of(runs, [](const FailoverRun& run) { return run.killed_by_agent; }) + " of " +
            std::to_string(runs.size()) + "\n";
  }
  if (options.semi_sync == conf::SemiSync::required && scenario != Scenario::switchover) {
    text += "  with `required`, gap and since_event include the return of the old primary\n";
  }
  return text;
}

}  // namespace

std::vector<FailoverRow> failover_rows(std::span<const FailoverRun> runs) {
  if (!runs.empty() && runs.front().calm) {
    std::vector<FailoverRow> rows = calm_rows(runs);
    std::ranges::move(latency_rows(clients_of(runs)), std::back_inserter(rows));
    return rows;
  }
  const auto clients = clients_of(runs);
  std::vector<FailoverRow> rows = client_rows(clients);
  FailoverRow beyond{"beyond deadtime", collect(runs, [](const FailoverRun& run) -> std::optional<double> {
                       if (!takes_deadtime(run.scenario) || !run.routed_ms) return std::nullopt;
                       return *run.routed_ms - run.deadtime_ms;
                     })};
  const auto routed = std::ranges::find(rows, "routed", &FailoverRow::name);
  if (!beyond.values_ms.empty()) rows.insert(routed + 1, std::move(beyond));  // which then has values, too
  FailoverRow died{"died", collect(runs, [](const FailoverRun& run) { return run.died_ms; })};
  if (!died.values_ms.empty()) rows.push_back(std::move(died));
  for (FailoverRow& row : step_rows(runs)) rows.push_back(std::move(row));
  rows.push_back({"total of the daemon", collect(runs, [](const FailoverRun& run) -> std::optional<double> {
                    if (!run.change.contains("total_ms") || !run.change["total_ms"].is_number()) return {};
                    return run.change["total_ms"].get<double>();
                  })});
  rows.push_back({"rejoin", collect(runs, [](const FailoverRun& run) {
                    return run.rejoined ? std::optional(run.rejoin_ms) : std::nullopt;
                  })});
  rows.push_back({"a commit before", collect(runs, [](const FailoverRun& run) { return run.commit_ms; })});
  std::ranges::move(latency_rows(clients), std::back_inserter(rows));
  return rows;
}

std::string failover_text(const FailoverOptions& options, std::span<const FailoverRun> runs) {
  std::string text;
  for (const Scenario scenario : options.scenarios) {
    const auto of_scenario = only(runs, scenario);
    if (of_scenario.empty()) continue;
    if (!text.empty()) text += "\n";
    text += scenario_text(options, scenario, of_scenario);
  }
  return text;
}

nlohmann::json failover_json(const FailoverOptions& options, std::span<const FailoverRun> runs) {
  nlohmann::json scenarios = nlohmann::json::array();
  for (const Scenario scenario : options.scenarios) {
    const auto of_scenario = only(runs, scenario);
    nlohmann::json summary = nlohmann::json::object();
    for (const FailoverRow& row : failover_rows(of_scenario)) {
      if (const auto figures = summarise(row.values_ms)) summary[row.name] = to_json(*figures);
    }
    nlohmann::json raw = nlohmann::json::array();
    for (const FailoverRun& run : of_scenario) raw.push_back(to_json(run));
    const auto setup = setup_for(scenario, options.wishes);
    scenarios.push_back(
        {{"scenario", to_string(scenario)},
         {"setup", setup ? to_json(*setup) : nlohmann::json()},
         {"summary_ms", summary},
         {"rejoined_by_itself", std::ranges::count_if(of_scenario, &FailoverRun::rejoined)},
         {"came_back_with_a_tail",
          std::ranges::count_if(of_scenario, [](const auto& run) { return run.taken_back > 0; })},
         {"runs", raw}});
  }
  return {{"product", testbed::to_string(options.product)},
          {"semi_sync", to_string(options.semi_sync)},
          {"clients", options.clients},
          {"think_ms", options.pace.think_time.count()},
          {"reconnect_ms", options.pace.retry_pause.count()},
          {"rate", options.rate ? nlohmann::json(*options.rate) : nlohmann::json()},
          {"settings", options.settings},
          {"keys", options.keys},
          {"missing", total_missing(runs)},
          {"scenarios", scenarios}};
}

std::string compared_text(std::span<const Scenario> scenarios, std::span<const FailoverRun> without,
                          std::span<const FailoverRun> with) {
  std::string text;
  for (const Scenario scenario : scenarios) {
    const auto runs_a = only(without, scenario);
    const auto rows_b = failover_rows(only(with, scenario));
    Table table({"", "without", "with", "difference"});
    for (const FailoverRow& a : failover_rows(runs_a)) {
      const auto b = std::ranges::find(rows_b, a.name, &FailoverRow::name);
      const auto median_a = summarise(a.values_ms);
      const auto median_b = b == rows_b.end() ? std::nullopt : summarise(b->values_ms);
      if (!median_a || !median_b) continue;
      table.add({a.name, format_number(median_a->median, 1), format_number(median_b->median, 1),
                 format_number(median_b->median - median_a->median, 1)});
    }
    text += "\n" + std::string(to_string(scenario)) + ", medians (ms)\n" + table.text();
  }
  return text;
}

std::size_t total_missing(std::span<const FailoverRun> runs) {
  std::size_t missing = 0;
  for (const FailoverRun& run : runs) missing += run.missing;
  return missing;
}

}  // namespace pointsman::bench
