// What a run of the failover benchmark is found to have been, and its JSON.
#include <algorithm>

#include "bench/failover.h"
#include "bench/statistics.h"
#include "health/core/gtid_set.h"

namespace pointsman::bench {

using Outcome = std::expected<void, std::string>;

double usual_commit_ms(const std::vector<std::vector<Commit>>& writers, Moment until) {
  const auto summary = summarise(intervals_before(writers, until));
  return summary ? summary->median : 0;
}

Outcome FailoverBench::find_rows(FailoverRun& run, std::size_t primary,
                                 std::vector<std::vector<Commit>>& commits) {
  if (auto done = stage_->look_up(primary, run.number, commits); !done) return done;
  for (const auto& of_writer : commits) run.acknowledged += of_writer.size();
  run.missing = count_missing(commits);
  return {};
}

Outcome FailoverBench::evaluate(FailoverRun& run, const Writers& writers, std::size_t to, Moment event) {
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers) commits.push_back(writer->record());
  if (auto done = find_rows(run, to, commits); !done) return done;
  const auto gap = measure_gap(commits, event, stage_->server(to).server_id());
  if (!gap) return std::unexpected(gap.error());
  run.gap_ms = to_ms(gap->gap);
  run.slowest_gap_ms = to_ms(gap->slowest_writer);
  run.since_event_ms = to_ms(gap->since_event);
  run.commit_ms = usual_commit_ms(commits, event);
  run.timeline = timeline_around(commits, event);
  for (const auto& span : gap->of_writer) {
    run.writer_gap_ms.push_back(span ? std::optional(to_ms(*span)) : std::nullopt);
  }
  for (const auto& writer : writers) {
    for (const auto& interruption : writer->interruptions()) {
      if (interruption.began < event || interruption.connected < interruption.began) continue;
      const double routed = to_ms(interruption.connected - event);
      run.routed_ms = std::min(routed, run.routed_ms.value_or(routed));
    }
  }
  for (const auto& interruption : writers[gap->first_writer]->interruptions()) {
    if (interruption.committed != gap->first_after) continue;
    run.way = {.broken_ms = to_ms(interruption.began - event),
               .connected_ms = to_ms(interruption.connected - event),
               .committed_ms = to_ms(interruption.committed - event),
               .failed = interruption.failed,
               .error = interruption.error};
  }
  return find_change(run);
}

Outcome FailoverBench::find_change(FailoverRun& run) {
  const auto events = stage_->daemon().events();
  if (!events) return std::unexpected(events.error());
  const std::string kind = run.scenario == Scenario::switchover ? "switchover" : "failover";
  const auto last = std::find_if(events->rbegin(), events->rend(), [&](const nlohmann::json& record) {
    return record.value("kind", "") == kind && record.value("to", "") == run.to;
  });
  if (last == events->rend()) return std::unexpected("`pointsman events` has no " + kind + " to " + run.to);
  run.change = *last;
  return find_taken_back(run, *events);
}

// Of the old primary's discards those that were done, which have a step; in the epoch that this change began.
Outcome FailoverBench::find_taken_back(FailoverRun& run, const std::vector<nlohmann::json>& events) const {
  const auto flavour =
      options_.product == testbed::Product::mariadb ? core::Flavour::mariadb : core::Flavour::mysql;
  for (const auto& record : events) {
    if (record.value("kind", "") != "discard" || record.value("backend", "") != run.from ||
        record.value("epoch", nlohmann::json()) != run.change.value("epoch", nlohmann::json()))
      continue;
    const auto steps = record.value("steps", nlohmann::json::array());
    if (steps.empty()) continue;
    run.taken_back_how = record.value("message", "");
    for (const auto& gtids : record.value("lost", nlohmann::json::array())) {
      const auto set = core::GtidSet::parse(flavour, gtids.get<std::string>());
      if (!set) return std::unexpected("`pointsman events` has GTIDs that cannot be read: " + set.error());
      run.taken_back += set->count();
    }
  }
  return {};
}

nlohmann::json to_json(const Calm& calm) {
  return {{"pause_ms", calm.pause_ms},
          {"slowest_pause_ms", calm.slowest_pause_ms},
          {"pause_before_ms", calm.pause_before_ms},
          {"slowest_pause_before_ms", calm.slowest_pause_before_ms},
          {"watched_ms", calm.watched_ms},
          {"noticed_ms", calm.noticed_ms},
          {"mended_ms", calm.mended_ms},
          {"links_down", calm.links_down}};
}

nlohmann::json to_json(const FailoverRun& run) {
  if (run.calm) {
    return {{"scenario", to_string(run.scenario)},
            {"run", run.number},
            {"primary", run.from},
            {"calm", to_json(*run.calm)},
            {"commit_ms", run.commit_ms},
            {"timeline", to_json(run.timeline)},
            {"acknowledged", run.acknowledged},
            {"missing", run.missing}};
  }
  nlohmann::json writers = nlohmann::json::array();
  for (const auto& gap : run.writer_gap_ms) writers.push_back(gap ? nlohmann::json(*gap) : nlohmann::json());
  return {{"scenario", to_string(run.scenario)},
          {"run", run.number},
          {"from", run.from},
          {"to", run.to},
          {"gap_ms", run.gap_ms},
          {"slowest_gap_ms", run.slowest_gap_ms},
          {"since_event_ms", run.since_event_ms},
          {"commit_ms", run.commit_ms},
          {"timeline", to_json(run.timeline)},
          {"writer_gap_ms", writers},
          {"routed_ms", run.routed_ms ? nlohmann::json(*run.routed_ms) : nlohmann::json()},
          {"killed_by_agent", run.killed_by_agent},
          {"died_ms", run.died_ms ? nlohmann::json(*run.died_ms) : nlohmann::json()},
          {"first_client",
           {{"broken_ms", run.way.broken_ms},
            {"connected_ms", run.way.connected_ms},
            {"committed_ms", run.way.committed_ms},
            {"failed_tries", run.way.failed},
            {"error", run.way.error}}},
          {"change", run.change},
          {"acknowledged", run.acknowledged},
          {"missing", run.missing},
          {"rejoined", run.rejoined},
          {"quarantined", run.quarantined},
          {"taken_back", run.taken_back},
          {"taken_back_how", run.taken_back_how},
          {"rejoin_ms", run.rejoin_ms}};
}

}  // namespace pointsman::bench
