#include "bench/failover.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

#include "bench/statistics.h"

namespace pointsman::bench {

namespace {

using Outcome = std::expected<void, std::string>;
using Millis = std::chrono::milliseconds;

// Before the event each writer has committed so often on its connection, so that "before" is a steady state.
constexpr std::uint64_t warm_up_commits = 50;
constexpr Millis commits_timeout{60000};
constexpr Millis change_timeout{60000};
constexpr Millis settle_timeout{60000};
constexpr Millis look_pause{2};
constexpr Millis after_change{
    200};  // what the writers still write on the new primary before the old one returns

std::string format_ms(double ms) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f ms", ms);
  return text.data();
}

double or_zero(const std::optional<Summary>& summary) {
  return summary ? summary->median : 0;
}

}  // namespace

const char* to_string(Scenario scenario) {
  switch (scenario) {
    case Scenario::crash:
      return "crash";
    case Scenario::freeze:
      return "freeze";
    case Scenario::switchover:
      return "switchover";
  }
  return "?";
}

Outcome FailoverBench::run() {
  progress_("starting two " + std::string(testbed::to_string(options_.product)) + " servers and pointsman");
  auto stage = Stage::create({.product = options_.product,
                              .semi_sync = options_.semi_sync,
                              .directory = options_.work_directory,
                              .keep = !options_.work_directory.empty()});
  if (!stage) return std::unexpected(stage.error());
  stage_ = std::move(*stage);
  unsigned number = 0;
  for (const Scenario scenario : options_.scenarios) {
    for (unsigned i = 1; i <= options_.runs; ++i) {
      if (stop_()) return std::unexpected("interrupted");
      auto run = run_once(scenario, ++number);
      if (!run) {
        return std::unexpected("run " + std::to_string(i) + " of " + to_string(scenario) + ": " +
                               run.error());
      }
      progress_(std::string(to_string(scenario)) + " " + std::to_string(i) + "/" +
                std::to_string(options_.runs) + "  " + run->from + " -> " + run->to + "  gap " +
                format_ms(run->gap_ms) + "  since event " + format_ms(run->since_event_ms) + "  missing " +
                std::to_string(run->missing) +
                (run->rejoined ? "  rejoined after " + format_ms(run->rejoin_ms) : "  rebuilt"));
      runs_.push_back(std::move(*run));
    }
  }
  return {};
}

std::expected<FailoverRun, std::string> FailoverBench::run_once(Scenario scenario, unsigned number) {
  const auto primary = stage_->find_primary();
  if (!primary) return std::unexpected(primary.error());
  const std::size_t from = *primary;
  const std::size_t to = Stage::other(from);
  FailoverRun run;
  run.scenario = scenario;
  run.number = number;
  run.from = stage_->cluster().server(from).name();
  run.to = stage_->cluster().server(to).name();

  auto writers = start_writers(number);
  if (!writers) return std::unexpected(writers.error());
  const auto event = cause(run, from);
  if (!event) return std::unexpected(event.error());

  // With `required`, a crashed primary's successor acknowledges nothing until the old one is its replica.
  const bool waits_for_replica =
      options_.semi_sync == conf::SemiSync::required && scenario != Scenario::switchover;
  if (waits_for_replica) {
    if (auto changed = stage_->wait_primary(to, change_timeout); !changed)
      return std::unexpected(changed.error());
  } else {
    if (auto wrote = wait_for_commits(*writers, *event, "after the event"); !wrote) {
      return std::unexpected(wrote.error());
    }
    std::this_thread::sleep_for(after_change);
  }
  if (auto back = bring_back(run, from, *event); !back) return std::unexpected(back.error());
  if (auto wrote = wait_for_commits(*writers, *event, "after the old primary's return"); !wrote) {
    return std::unexpected(wrote.error());
  }
  for (const auto& writer : *writers) writer->stop();
  if (auto settled = stage_->wait_settled(to, settle_timeout); !settled)
    return std::unexpected(settled.error());
  if (auto done = evaluate(run, *writers, to, *event); !done) return std::unexpected(done.error());
  return run;
}

std::expected<FailoverBench::Writers, std::string> FailoverBench::start_writers(unsigned number) {
  Writers writers;
  for (unsigned i = 0; i < options_.clients; ++i)
    writers.push_back(stage_->start_writer(number, i, options_.think_time));
  const auto deadline = Clock::now() + commits_timeout;
  const auto warm = [](const auto& writer) { return writer->commits() >= warm_up_commits; };
  while (!std::ranges::all_of(writers, warm)) {
    if (Clock::now() >= deadline) {
      return std::unexpected("the writers do not commit through the proxy; the daemon's log says:\n" +
                             stage_->daemon().log_tail());
    }
    std::this_thread::sleep_for(look_pause);
  }
  return writers;
}

// Until each writer has committed on a connection made after `after`.
Outcome FailoverBench::wait_for_commits(const Writers& writers, Moment after, const std::string& what) {
  const auto deadline = Clock::now() + commits_timeout;
  const auto goes_on = [after](const auto& writer) { return writer->committing_since() > after; };
  while (!std::ranges::all_of(writers, goes_on)) {
    if (Clock::now() >= deadline) {
      const auto status = stage_->daemon().status();
      return std::unexpected("not every writer commits " + what +
                             "; status: " + (status ? status->dump(1) : status.error()) +
                             "\nthe daemon's log says:\n" + stage_->daemon().log_tail());
    }
    std::this_thread::sleep_for(look_pause);
  }
  return {};
}

std::expected<Moment, std::string> FailoverBench::cause(FailoverRun& run, std::size_t from) {
  testbed::Server& server = stage_->cluster().server(from);
  const Moment event = Clock::now();
  switch (run.scenario) {
    case Scenario::crash:
      server.kill();
      run.died_ms = to_ms(Clock::now() - event);
      break;
    case Scenario::freeze:
      if (!server.freeze()) return std::unexpected(server.name() + " does not run");
      break;
    case Scenario::switchover: {
      const auto finished = stage_->daemon().command({"switchover"}, change_timeout);
      if (!finished) return std::unexpected(finished.error());
      if (finished->code != 0) return std::unexpected("pointsman switchover: " + finished->err);
      break;
    }
  }
  return event;
}

Outcome FailoverBench::bring_back(FailoverRun& run, std::size_t from, Moment event) {
  testbed::Server& server = stage_->cluster().server(from);
  const std::size_t to = Stage::other(from);
  Moment began = event;
  if (run.scenario == Scenario::crash) {
    began = Clock::now();
    if (auto started = server.start(); !started) return started;
  } else if (run.scenario == Scenario::freeze) {
    began = Clock::now();
    server.thaw();
  }
  const auto deadline = began + settle_timeout;
  for (;;) {
    const auto settled = stage_->wait_settled(to, Millis(0));
    if (settled) {
      run.rejoined = true;
      run.rejoin_ms = to_ms(Clock::now() - began);
      return {};
    }
    if (stage_->role_of(from) == "quarantined") {
      run.quarantined = true;
      return stage_->rebuild(from, to);
    }
    if (Clock::now() >= deadline) return settled;
    std::this_thread::sleep_for(look_pause);
  }
}

Outcome FailoverBench::evaluate(FailoverRun& run, const Writers& writers, std::size_t to, Moment event) {
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers) commits.push_back(writer->record());
  if (auto done = stage_->look_up(to, run.number, commits); !done) return done;
  for (const auto& of_writer : commits) run.acknowledged += of_writer.size();
  run.missing = count_missing(commits);
  const auto gap = measure_gap(commits, event, stage_->cluster().server(to).server_id());
  if (!gap) return std::unexpected(gap.error());
  run.gap_ms = to_ms(gap->gap);
  run.slowest_gap_ms = to_ms(gap->slowest_writer);
  run.since_event_ms = to_ms(gap->since_event);
  run.commit_ms = or_zero(summarise(intervals_before(commits, event)));
  for (const auto& span : gap->of_writer) {
    run.writer_gap_ms.push_back(span ? std::optional(to_ms(*span)) : std::nullopt);
  }
  for (const auto& interruption : writers[gap->first_writer]->interruptions()) {
    if (interruption.committed != gap->first_after) continue;
    run.way = {.broken_ms = to_ms(interruption.began - event),
               .connected_ms = to_ms(interruption.connected - event),
               .committed_ms = to_ms(interruption.committed - event),
               .failed = interruption.failed,
               .error = interruption.error};
  }
  const auto events = stage_->daemon().events();
  if (!events) return std::unexpected(events.error());
  const std::string kind = run.scenario == Scenario::switchover ? "switchover" : "failover";
  const auto last = std::find_if(events->rbegin(), events->rend(), [&](const nlohmann::json& record) {
    return record.value("kind", "") == kind && record.value("to", "") == run.to;
  });
  if (last == events->rend()) return std::unexpected("`pointsman events` has no " + kind + " to " + run.to);
  run.change = *last;
  return {};
}

nlohmann::json to_json(const FailoverRun& run) {
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
          {"writer_gap_ms", writers},
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
          {"rejoin_ms", run.rejoin_ms}};
}

}  // namespace pointsman::bench
