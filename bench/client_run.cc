#include "bench/client_run.h"

#include <algorithm>
#include <array>
#include <functional>

#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

double usual_commit_ms(const std::vector<std::vector<Commit>>& writers, Moment until) {
  const auto summary = summarise(intervals_before(writers, until));
  return summary ? summary->median : 0;
}

void measure_latencies(ClientRun& run, const Recording& recording, Moment event) {
  if (!recording.schedule) return;
  auto latency = latency_around(recording.commits, *recording.schedule, event, timeline_before,
                                timeline_after, recording.end);
  run.latency_before = latency.before;
  run.latency_after = latency.after;
}

std::expected<void, std::string> measure_clients(ClientRun& run, const Recording& recording, Moment event,
                                                 unsigned new_server) {
  const auto gap = measure_gap(recording.commits, event, new_server);
  if (!gap) return std::unexpected(gap.error());
  run.gap_ms = to_ms(gap->gap);
  run.slowest_gap_ms = to_ms(gap->slowest_writer);
  run.since_event_ms = to_ms(gap->since_event);
  run.commit_ms = usual_commit_ms(recording.commits, event);
  run.timeline = timeline_around(recording.commits, event);
  measure_latencies(run, recording, event);
  for (const auto& span : gap->of_writer)
    run.writer_gap_ms.push_back(span ? std::optional(to_ms(*span)) : std::nullopt);
  for (const auto& of_writer : recording.interruptions) {
    for (const auto& interruption : of_writer) {
      if (interruption.began < event || interruption.connected < interruption.began) continue;
      const double routed = to_ms(interruption.connected - event);
      run.routed_ms = std::min(routed, run.routed_ms.value_or(routed));
    }
  }
  for (const auto& interruption : recording.interruptions[gap->first_writer]) {
    if (interruption.committed != gap->first_after) continue;
    run.way = Way{.broken_ms = to_ms(interruption.began - event),
                  .connected_ms = to_ms(interruption.connected - event),
                  .committed_ms = to_ms(interruption.committed - event),
                  .failed = interruption.failed,
                  .error = interruption.error};
  }
  return {};
}

nlohmann::json to_json(const ClientRun& run) {
  nlohmann::json writers = nlohmann::json::array();
  for (const auto& gap : run.writer_gap_ms) writers.push_back(gap ? nlohmann::json(*gap) : nlohmann::json());
  nlohmann::json json{{"gap_ms", run.gap_ms},
                      {"slowest_gap_ms", run.slowest_gap_ms},
                      {"since_event_ms", run.since_event_ms},
                      {"commit_ms", run.commit_ms},
                      {"timeline", to_json(run.timeline)},
                      {"writer_gap_ms", writers},
                      {"routed_ms", run.routed_ms ? nlohmann::json(*run.routed_ms) : nlohmann::json()},
                      {"first_client", nlohmann::json()},
                      {"acknowledged", run.acknowledged},
                      {"missing", run.missing}};
  if (run.way) {
    json["first_client"] = {{"broken_ms", run.way->broken_ms},
                            {"connected_ms", run.way->connected_ms},
                            {"committed_ms", run.way->committed_ms},
                            {"failed_tries", run.way->failed},
                            {"error", run.way->error}};
  }
  if (run.latency_before) json["latency_before"] = to_json(*run.latency_before);
  if (run.latency_after) json["latency_after"] = to_json(*run.latency_after);
  return json;
}

namespace {

void add_row(std::vector<RunRow>& rows, std::string name, std::span<const ClientRun* const> runs,
             const std::function<std::optional<double>(const ClientRun&)>& value) {
  RunRow row{std::move(name), {}};
  for (const ClientRun* run : runs) {
    if (const auto found = value(*run)) row.values_ms.push_back(*found);
  }
  if (!row.values_ms.empty()) rows.push_back(std::move(row));
}

}  // namespace

std::vector<RunRow> client_rows(std::span<const ClientRun* const> runs) {
  std::vector<RunRow> rows;
  add_row(rows, "gap", runs, [](const ClientRun& run) { return run.gap_ms; });
  add_row(rows, "gap, slowest writer", runs, [](const ClientRun& run) { return run.slowest_gap_ms; });
  add_row(rows, "since_event", runs, [](const ClientRun& run) { return run.since_event_ms; });
  add_row(rows, "routed", runs, [](const ClientRun& run) { return run.routed_ms; });
  const auto add_way = [&](const char* name, double Way::* part) {
    add_row(rows, name, runs, [part](const ClientRun& run) {
      return run.way ? std::optional((*run.way).*part) : std::nullopt;
    });
  };
  add_way("client broken", &Way::broken_ms);
  add_way("client connected", &Way::connected_ms);
  add_way("client committed", &Way::committed_ms);
  return rows;
}

std::vector<RunRow> latency_rows(std::span<const ClientRun* const> runs) {
  struct Part {
    const char* name;
    double Latency::* value;
  };
  static constexpr std::array parts{Part{"p50", &Latency::p50_ms}, Part{"p90", &Latency::p90_ms},
                                    Part{"p99", &Latency::p99_ms}, Part{"p99.9", &Latency::p999_ms},
                                    Part{"max", &Latency::max_ms}};
  std::vector<RunRow> rows;
  const auto add = [&](const std::string& when, std::optional<Latency> ClientRun::* latency) {
    for (const Part& part : parts) {
      add_row(rows, "latency " + when + ", " + part.name, runs, [&](const ClientRun& run) {
        return run.*latency ? std::optional((*(run.*latency)).*part.value) : std::nullopt;
      });
    }
  };
  add("before", &ClientRun::latency_before);
  add("from the event", &ClientRun::latency_after);
  return rows;
}

std::string latency_text(std::span<const ClientRun* const> runs, unsigned rate) {
  // Far more than a commit takes: a backlog that grows.
  constexpr double slow_ms = 100;
  std::size_t slow = 0;
  std::size_t unfinished = 0;
  for (const ClientRun* run : runs) {
    if (run->latency_before && run->latency_before->p90_ms > slow_ms) ++slow;
    if (run->latency_after) unfinished += run->latency_after->unfinished;
  }
  std::string text = "  on schedule, " + format_number(rate) + " commits a second of all writers\n";
  if (slow > 0) {
    text += "  NOT KEPT UP WITH before the event in " + std::to_string(slow) + " of " +
            std::to_string(runs.size()) + " runs (p90 above " + format_number(slow_ms) +
            " ms): latencies are those of an overload\n";
  }
  if (unfinished > 0) {
    text += "  without an answer at the end of a run: " + format_number(static_cast<double>(unfinished)) +
            " commits, counted with the time that they had waited\n";
  }
  return text;
}

std::vector<std::string> cells_of(const RunRow& row) {
  const auto summary = summarise(row.values_ms);
  if (!summary) return {row.name, "-", "-", "-", "-"};
  return {row.name, format_number(summary->min, 1), format_number(summary->median, 1),
          format_number(summary->p95, 1), format_number(summary->max, 1)};
}

}  // namespace pointsman::bench
