#include "bench/failover_report.h"

#include <algorithm>
#include <functional>

#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

const char* const failover_definitions =
    R"(What is measured, on CLOCK_MONOTONIC, by writers that commit one row after another through the proxy:
  gap            from the last commit that the old primary acknowledged to the first that the new one did,
                 over all writers. Which server acknowledged a row is told by the row, which holds @@server_id.
  gap, slowest   the longest such gap of one writer by itself.
  since_event    from the event to the first commit that the new primary acknowledged. The event is the moment
                 before SIGKILL or SIGSTOP is sent to the primary, or `pointsman switchover` is started as a
                 program (its own start is in since_event, not in gap).
  client ...     the way of the writer that committed first: its connection ended, it was logged in again, it had
                 committed; each from the event.
  died           from SIGKILL until the kernel had taken the killed server down.
  step ...       each step as `pointsman events` gives it; total is the daemon's, from the evidence on.
  rejoin         from the restart (thaw, event) of the old primary until the servers themselves say that it
                 follows the new one and has all its rows, and the daemon is steady with both.
A gap lies between two commits and so does not depend on how many were tried meanwhile: there is no coordinated
omission in it. Every acknowledged row is looked for on the new primary; a missing one makes exit status 1.
With --semi-sync required the new primary acknowledges nothing until the old one has returned as its replica: gap
and since_event then include its restart. Measure speed with preferred, and loss with required.)";

namespace {

using Values = std::vector<double>;

std::vector<std::string> row_of(const FailoverRow& row) {
  const auto summary = summarise(row.values_ms);
  if (!summary) return {row.name, "-", "-", "-", "-"};
  return {row.name, format_number(summary->min, 1), format_number(summary->median, 1),
          format_number(summary->p95, 1), format_number(summary->max, 1)};
}

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

std::string scenario_text(const FailoverOptions& options, Scenario scenario,
                          std::span<const FailoverRun> runs) {
  std::string text = std::string(to_string(scenario)) + ", " + testbed::to_string(options.product) +
                     ", semi-sync " + to_string(options.semi_sync) + ", " + std::to_string(options.clients) +
                     " writers, " + std::to_string(runs.size()) + " runs (ms)\n";
  Table table({"", "min", "median", "p95", "max"});
  for (const FailoverRow& row : failover_rows(runs)) table.add(row_of(row));
  text += table.text();
  std::size_t acknowledged = 0;
  for (const FailoverRun& run : runs) acknowledged += run.acknowledged;
  text += "  " + format_number(static_cast<double>(acknowledged)) + " rows acknowledged, " +
          std::to_string(total_missing(runs)) + " missing on the new primary; rejoined by itself " +
          count_of(runs, [](const FailoverRun& run) { return run.rejoined; }) + " of " +
          std::to_string(runs.size()) + ", quarantined and rebuilt " +
          count_of(runs, [](const FailoverRun& run) { return run.quarantined; }) + "\n";
  if (options.semi_sync == conf::SemiSync::required && scenario != Scenario::switchover) {
    text += "  with `required`, gap and since_event include the restart of the old primary\n";
  }
  return text;
}

}  // namespace

std::vector<FailoverRow> failover_rows(std::span<const FailoverRun> runs) {
  std::vector<FailoverRow> rows{
      {"gap", collect(runs, [](const FailoverRun& run) { return run.gap_ms; })},
      {"gap, slowest writer", collect(runs, [](const FailoverRun& run) { return run.slowest_gap_ms; })},
      {"since_event", collect(runs, [](const FailoverRun& run) { return run.since_event_ms; })},
      {"client broken", collect(runs, [](const FailoverRun& run) { return run.way.broken_ms; })},
      {"client connected", collect(runs, [](const FailoverRun& run) { return run.way.connected_ms; })},
      {"client committed", collect(runs, [](const FailoverRun& run) { return run.way.committed_ms; })},
  };
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
    scenarios.push_back({{"scenario", to_string(scenario)}, {"summary_ms", summary}, {"runs", raw}});
  }
  return {{"product", testbed::to_string(options.product)},
          {"semi_sync", to_string(options.semi_sync)},
          {"clients", options.clients},
          {"think_ms", options.think_time.count()},
          {"missing", total_missing(runs)},
          {"scenarios", scenarios}};
}

std::size_t total_missing(std::span<const FailoverRun> runs) {
  std::size_t missing = 0;
  for (const FailoverRun& run : runs) missing += run.missing;
  return missing;
}

}  // namespace pointsman::bench
