#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/gap.h"
#include "bench/latency.h"
#include "bench/schedule.h"
#include "bench/timeline.h"
#include "bench/writer.h"

// One event as the writers saw it, whatever they wrote to. Pure.
namespace pointsman::bench {

// How the writer that committed first after the event got there; from the event, in ms.
struct Way {
  double broken_ms = 0;     // its connection ended
  double connected_ms = 0;  // it was logged in again
  double committed_ms = 0;
  unsigned failed = 0;  // connects that failed in between
  std::string error;    // what the client library said of the end
};

struct ClientRun {
  // All in ms.
  double gap_ms = 0;  // last commit acknowledged by the old primary -> first one by the new, all writers
  double slowest_gap_ms = 0;  // the same for the writer whose gap was the longest
  double since_event_ms = 0;  // the event -> first commit acknowledged by the new primary
  double commit_ms = 0;       // median time between a writer's commits before the event
  std::vector<std::optional<double>> writer_gap_ms;
  std::optional<double> routed_ms;  // the event -> the first login of a writer at the new primary
  std::optional<Way> way;           // nullopt: its connection did not end
  Timeline timeline;                // commits around the event
  // With --rate, in timeline_before and timeline_after; see latency_around().
  std::optional<Latency> latency_before;
  std::optional<Latency> latency_after;
  std::size_t acknowledged = 0;
  std::size_t missing = 0;  // acknowledged rows that are not to be found
};

// What writers recorded in a run, and until when.
struct Recording {
  std::vector<std::vector<Commit>> commits;
  std::vector<std::vector<Writer::Interruption>> interruptions;
  std::optional<Schedule> schedule;
  Moment end;
};

// The median time between a writer's commits; 0: there are none.
double usual_commit_ms(const std::vector<std::vector<Commit>>& writers, Moment until);
// Sets all of `run`, with servers of commits looked up. Error: nothing to measure.
std::expected<void, std::string> measure_clients(ClientRun& run, const Recording& recording, Moment event,
                                                 unsigned new_server);

// Latencies alone, for when no primary changes.
void measure_latencies(ClientRun& run, const Recording& recording, Moment event);

nlohmann::json to_json(const ClientRun& run);

// One row of the table: a measured time over all runs of a scenario.
struct RunRow {
  std::string name;
  std::vector<double> values_ms;
};
// gap, since_event, how the first client came back; a row that no run has is left out.
std::vector<RunRow> client_rows(std::span<const ClientRun* const> runs);
// "latency before, p99" and so on; none without a schedule.
std::vector<RunRow> latency_rows(std::span<const ClientRun* const> runs);
// What else is to be said of latencies: that the servers were too slow for the rate before the event, or that
// commits were still waiting at the end. "" or whole lines.
std::string latency_text(std::span<const ClientRun* const> runs, unsigned rate);
// name, min, median, p95, max.
std::vector<std::string> cells_of(const RunRow& row);

}  // namespace pointsman::bench
