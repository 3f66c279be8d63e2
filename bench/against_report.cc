#include "bench/against_report.h"

#include <algorithm>

#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

const char* const against_definitions =
    R"(FILE (TOML; bench/against.toml is a commented sample) names the endpoint, a login that may create tables in a
database of its own, and the commands, each run by `sh -c`:
  start      once, before all; may be absent
  kill       ends the primary behind the endpoint; its start is the event
  restore    makes all as it was, for the next run; after each run
  clean_up   once, at the end, whatever happened; may be absent
A command that fails or runs out of time ends the benchmark, with what it wrote.

The clients are those of `failover`, and so are gap, since_event, client ... and latency ...: see there. As the
servers behind are not known, a commit is one of the new primary when it comes after the event on a connection made
after it, or from a server of another @@server_id than before.
  kill       how long the command took; what it needs until the primary is dead is in since_event, not in gap
  restore    how long the command took
  back       from its start until each writer had committed after its end
Writes that have not gone on by themselves for `restore_after` wait for `restore`: their gap includes it, and the line
below the table says how often. Every acknowledged row is looked for through the endpoint; a missing one makes exit
status 1, and leaves the table for you to look into.)";

namespace {

std::vector<RunRow> rows_of(std::span<const AgainstRun> runs) {
  std::vector<const ClientRun*> clients;
  for (const AgainstRun& run : runs) clients.push_back(&run);
  std::vector<RunRow> rows = client_rows(clients);
  const auto add = [&](const char* name, double AgainstRun::* value) {
    RunRow row{name, {}};
    for (const AgainstRun& run : runs) row.values_ms.push_back(run.*value);
    rows.push_back(std::move(row));
  };
  add("kill", &AgainstRun::kill_ms);
  add("restore", &AgainstRun::restore_ms);
  add("back", &AgainstRun::back_ms);
  RunRow before{"a commit before", {}};
  for (const AgainstRun& run : runs) before.values_ms.push_back(run.commit_ms);
  rows.push_back(std::move(before));
  std::ranges::move(latency_rows(clients), std::back_inserter(rows));
  return rows;
}

nlohmann::json to_json(const AgainstRun& run) {
  nlohmann::json json = to_json(static_cast<const ClientRun&>(run));
  json.update({{"run", run.number},
               {"by_itself", run.by_itself},
               {"kill_ms", run.kill_ms},
               {"restore_ms", run.restore_ms},
               {"back_ms", run.back_ms}});
  return json;
}

}  // namespace

std::size_t total_missing(std::span<const AgainstRun> runs) {
  std::size_t missing = 0;
  for (const AgainstRun& run : runs) missing += run.missing;
  return missing;
}

std::string against_text(const AgainstOptions& options, std::span<const AgainstRun> runs) {
  if (runs.empty()) return "";
  std::string text = "against " + conf::to_string(options.file.endpoint.address) + ", " +
                     std::to_string(options.clients) + " writers, " + std::to_string(runs.size()) +
                     " runs (ms)\n";
  Table table({"", "min", "median", "p95", "max"});
  for (const RunRow& row : rows_of(runs)) table.add(cells_of(row));
  text += table.text();
  if (options.rate) {
    std::vector<const ClientRun*> clients;
    for (const AgainstRun& run : runs) clients.push_back(&run);
    text += latency_text(clients, *options.rate);
  }
  std::size_t acknowledged = 0;
  for (const AgainstRun& run : runs) acknowledged += run.acknowledged;
  return text + "  " + format_number(static_cast<double>(acknowledged)) + " rows acknowledged, " +
         std::to_string(total_missing(runs)) +
         " missing through the endpoint; writes went on by themselves " +
         std::to_string(std::ranges::count_if(runs, &AgainstRun::by_itself)) + " of " +
         std::to_string(runs.size()) + "\n";
}

nlohmann::json against_json(const AgainstOptions& options, std::span<const AgainstRun> runs) {
  nlohmann::json summary = nlohmann::json::object();
  for (const RunRow& row : rows_of(runs)) {
    if (const auto figures = summarise(row.values_ms)) summary[row.name] = to_json(*figures);
  }
  nlohmann::json raw = nlohmann::json::array();
  for (const AgainstRun& run : runs) raw.push_back(to_json(run));
  // The commands are told and the login is not.
  const AgainstCommands& commands = options.file.commands;
  return {{"endpoint", conf::to_string(options.file.endpoint.address)},
          {"commands",
           {{"start", commands.start},
            {"kill", commands.kill},
            {"restore", commands.restore},
            {"clean_up", commands.clean_up}}},
          {"clients", options.clients},
          {"think_ms", options.pace.think_time.count()},
          {"reconnect_ms", options.pace.retry_pause.count()},
          {"rate", options.rate ? nlohmann::json(*options.rate) : nlohmann::json()},
          {"missing", total_missing(runs)},
          {"scenarios", {{{"scenario", "against"}, {"summary_ms", summary}, {"runs", raw}}}}};
}

}  // namespace pointsman::bench
