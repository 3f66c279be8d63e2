// What a run of the failover benchmark is found to have been, and its JSON.
#include <algorithm>

#include "bench/failover.h"
#include "health/core/gtid_set.h"

namespace pointsman::bench {

using Outcome = std::expected<void, std::string>;

Outcome FailoverBench::find_rows(FailoverRun& run, std::size_t primary,
                                 std::vector<std::vector<Commit>>& commits) {
  if (auto done = stage_->look_up(primary, run.number, commits); !done) return done;
  for (const auto& of_writer : commits) run.acknowledged += of_writer.size();
  run.missing = count_missing(commits);
  return {};
}

Recording FailoverBench::record(const Writers& writers, Moment end) const {
  Recording recording{.commits = {}, .interruptions = {}, .schedule = schedule_, .end = end};
  for (const auto& writer : writers) {
    recording.commits.push_back(writer->record());
    recording.interruptions.push_back(writer->interruptions());
  }
  return recording;
}

Outcome FailoverBench::evaluate(FailoverRun& run, Recording recording, std::size_t to, Moment event) {
  if (auto done = find_rows(run, to, recording.commits); !done) return done;
  const unsigned new_server = stage_->server(to).server_id();
  if (auto done = measure_clients(run, recording, event, new_server); !done) return done;
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
    nlohmann::json json{{"scenario", to_string(run.scenario)},
                        {"run", run.number},
                        {"primary", run.from},
                        {"calm", to_json(*run.calm)},
                        {"commit_ms", run.commit_ms},
                        {"timeline", to_json(run.timeline)},
                        {"acknowledged", run.acknowledged},
                        {"missing", run.missing}};
    if (run.latency_before) json["latency_before"] = to_json(*run.latency_before);
    if (run.latency_after) json["latency_after"] = to_json(*run.latency_after);
    return json;
  }
  nlohmann::json json = to_json(static_cast<const ClientRun&>(run));
  json.update({{"scenario", to_string(run.scenario)},
               {"run", run.number},
               {"from", run.from},
               {"to", run.to},
               {"killed_by_agent", run.killed_by_agent},
               {"died_ms", run.died_ms ? nlohmann::json(*run.died_ms) : nlohmann::json()},
               {"change", run.change},
               {"rejoined", run.rejoined},
               {"quarantined", run.quarantined},
               {"taken_back", run.taken_back},
               {"taken_back_how", run.taken_back_how},
               {"rejoin_ms", run.rejoin_ms}});
  return json;
}

}  // namespace pointsman::bench
