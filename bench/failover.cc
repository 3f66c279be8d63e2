#include "bench/failover.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

#include "bench/table.h"
#include "bench/warm_up.h"

namespace pointsman::bench {

namespace {

using Outcome = std::expected<void, std::string>;
using Millis = std::chrono::milliseconds;

constexpr Millis commits_timeout{60000};
constexpr Millis change_timeout{60000};
constexpr Millis settle_timeout{60000};
constexpr Millis run_look_pause{2};
constexpr Millis after_change{
    200};  // what the writers still write on the new primary before the old one returns

// How long nothing may happen before and after a cut serial line: what a wrong verdict would need, and more.
Millis calm_time(const Setup& setup) {
  return std::max(Millis(2000), 3 * setup.times.deadtime);
}

// The servers of the testbed take 600 connections.
std::vector<std::string> with_room_for(unsigned clients, std::vector<std::string> settings) {
  if (clients > 500) settings.insert(settings.begin(), "max_connections = " + std::to_string(clients + 100));
  return settings;
}

}  // namespace

Outcome FailoverBench::run() {
  for (const Scenario scenario : options_.scenarios) {
    if (auto ready = prepare(scenario); !ready) return ready;
    for (unsigned i = 0; i < options_.runs; ++i) {
      if (auto done = run_next(); !done) return done;
    }
  }
  return {};
}

Outcome FailoverBench::prepare(Scenario scenario) {
  const auto setup = setup_for(scenario, options_.wishes);
  if (!setup) return std::unexpected(setup.error());
  progress_("starting two " + std::string(testbed::to_string(options_.product)) +
            " servers and pointsman for " + to_string(scenario) + ": " + describe(*setup));
  stage_.reset();  // its places are free for the next one
  scenario_ = scenario;
  of_scenario_ = 0;
  auto place = options_.work_directory;
  if (!place.empty()) place /= to_string(scenario);
  auto stage = Stage::create({.product = options_.product,
                              .semi_sync = options_.semi_sync,
                              .directory = place,
                              .keep = !place.empty(),
                              .settings = with_room_for(options_.clients, options_.settings),
                              .setup = *setup,
                              .daemon_keys = options_.keys});
  if (!stage) return std::unexpected(std::string(to_string(scenario)) + ": " + stage.error());
  stage_ = std::move(*stage);
  return {};
}

Outcome FailoverBench::run_next() {
  ++of_scenario_;
  if (stop_()) return std::unexpected("interrupted");
  auto run = run_once();
  if (!run) {
    return std::unexpected("run " + std::to_string(of_scenario_) + " of " + to_string(scenario_) + ": " +
                           run.error());
  }
  tell(*run);
  runs_.push_back(std::move(*run));
  return {};
}

void FailoverBench::tell(const FailoverRun& run) const {
  std::string text = std::string(to_string(scenario_)) + " " + std::to_string(of_scenario_) + "/" +
                     std::to_string(options_.runs) + (stage_->options().setup.agents ? " with agents" : "");
  if (run.calm) {
    text += "  longest pause " + format_ms(run.calm->pause_ms) + "  noticed after " +
            format_ms(run.calm->noticed_ms) + "  links down " + std::to_string(run.calm->links_down.size());
  } else {
    text += "  " + run.from + " -> " + run.to + "  gap " + format_ms(run.gap_ms) + "  since event " +
            format_ms(run.since_event_ms);
    if (run.routed_ms) text += "  routed " + format_ms(*run.routed_ms);
    text += run.rejoined ? "  rejoined after " + format_ms(run.rejoin_ms) : "  rebuilt";
    if (run.taken_back > 0) text += "  taken back " + std::to_string(run.taken_back);
  }
  progress_(text + "  missing " + std::to_string(run.missing));
}

std::expected<FailoverRun, std::string> FailoverBench::run_once() {
  const auto primary = stage_->find_primary();
  if (!primary) return std::unexpected(primary.error());
  const std::size_t from = *primary;
  FailoverRun run;
  run.scenario = scenario_;
  run.number = static_cast<unsigned>(runs_.size()) + 1;
  run.from = stage_->server(from).name();
  run.to = stage_->server(moves_primary(scenario_) ? Stage::other(from) : from).name();
  run.deadtime_ms = to_ms(stage_->options().setup.times.deadtime);
  const auto done = moves_primary(scenario_) ? move_primary(run, from) : stay_calm(run, from);
  if (!done) return std::unexpected(done.error());
  return run;
}

Outcome FailoverBench::move_primary(FailoverRun& run, std::size_t from) {
  const std::size_t to = Stage::other(from);
  auto writers = start_writers(run.number);
  if (!writers) return std::unexpected(writers.error());
  const auto event = cause(run, from);
  if (!event) return std::unexpected(event.error());

  // With `required`, a lost primary's successor acknowledges nothing until the old one is its replica.
  const bool waits_for_replica =
      options_.semi_sync == conf::SemiSync::required && scenario_ != Scenario::switchover;
  if (waits_for_replica) {
    if (auto changed = stage_->wait_primary(to, change_timeout); !changed)
      return std::unexpected(changed.error());
    // Every writer has come to the new primary, so that `routed` is known.
    std::this_thread::sleep_for(after_change);
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
  std::this_thread::sleep_until(*event + timeline_after);
  wait_until_on_schedule(*writers, schedule_);
  stop_all(*writers);
  const Moment end = Clock::now();
  if (auto settled = stage_->wait_settled(to, settle_timeout); !settled)
    return std::unexpected(settled.error());
  return evaluate(run, record(*writers, end), to, *event);
}

Outcome FailoverBench::stay_calm(FailoverRun& run, std::size_t primary) {
  const Millis watched = calm_time(stage_->options().setup);
  const auto before = stage_->daemon().status();
  if (!before) return std::unexpected(before.error());
  auto writers = start_writers(run.number);
  if (!writers) return std::unexpected(writers.error());
  const Moment began = Clock::now();
  std::this_thread::sleep_for(watched);

  const Moment event = Clock::now();
  stage_->hosts().cut_serial(primary);
  const auto is = [](const char* state) {
    return [state](const Stage::LinkStates& links) {
      const auto found = links.find("serial");
      return found != links.end() && found->second == state;
    };
  };
  const auto noticed = stage_->wait_links(primary, is("dead"), change_timeout);
  if (!noticed) return std::unexpected(noticed.error());
  std::this_thread::sleep_until(event + watched);
  const Moment end = Clock::now();
  Calm calm;
  calm.watched_ms = to_ms(watched);
  calm.noticed_ms = to_ms(*noticed - event);
  for (std::size_t i = 0; i < stage_->cluster().size(); ++i) {
    for (const auto& [link, state] : stage_->links_of(i)) {
      if (state != "alive") calm.links_down.push_back(stage_->server(i).name() + " " + link + " " + state);
    }
  }
  const Moment mended = Clock::now();
  stage_->hosts().mend_serial(primary);
  const auto alive = stage_->wait_links(primary, is("alive"), change_timeout);
  if (!alive) return std::unexpected(alive.error());
  calm.mended_ms = to_ms(*alive - mended);
  std::this_thread::sleep_until(event + timeline_after);
  stop_all(*writers);
  Recording recording = record(*writers, Clock::now());
  if (auto settled = stage_->wait_settled(primary, settle_timeout); !settled) return settled;

  std::vector<std::vector<Commit>>& commits = recording.commits;
  measure_latencies(run, recording, event);
  const Pause usual = longest_pause(commits, began, event);
  const Pause then = longest_pause(commits, event, end);
  calm.pause_before_ms = to_ms(usual.together);
  calm.slowest_pause_before_ms = to_ms(usual.slowest_writer);
  calm.pause_ms = to_ms(then.together);
  calm.slowest_pause_ms = to_ms(then.slowest_writer);
  run.commit_ms = usual_commit_ms(commits, event);
  run.timeline = timeline_around(commits, event);
  run.calm = std::move(calm);
  const auto after = stage_->daemon().status();
  if (!after) return std::unexpected(after.error());
  if ((*after)["epoch"] != (*before)["epoch"] || (*after)["primary"] != (*before)["primary"])
    return std::unexpected("the primary was changed: " + after->dump(1));
  return find_rows(run, primary, commits);
}

std::expected<FailoverBench::Writers, std::string> FailoverBench::start_writers(unsigned number) {
  Writers writers;
  schedule_.reset();
  if (options_.rate) schedule_.emplace(Clock::now(), *options_.rate, options_.clients);
  for (unsigned i = 0; i < options_.clients; ++i)
    writers.push_back(stage_->start_writer(number, i, options_.pace, schedule_));
  const auto deadline = Clock::now() + commits_timeout;
  const std::uint64_t enough = schedule_ ? 1 : warm_up_commits;
  const auto warm = [enough](const auto& writer) { return writer->commits() >= enough; };
  while (!std::ranges::all_of(writers, warm)) {
    if (Clock::now() >= deadline) {
      return std::unexpected("the writers do not commit through the proxy; the daemon's log says:\n" +
                             stage_->daemon().log_tail());
    }
    std::this_thread::sleep_for(run_look_pause);
  }
  wait_until_on_schedule(writers, schedule_);
  std::this_thread::sleep_for(timeline_before);
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
    std::this_thread::sleep_for(run_look_pause);
  }
  return {};
}

std::expected<Moment, std::string> FailoverBench::cause(FailoverRun& run, std::size_t from) {
  testbed::Server& server = stage_->server(from);
  const Moment event = Clock::now();
  Outcome done;
  switch (run.scenario) {
    case Scenario::crash:
      server.kill();
      run.died_ms = to_ms(Clock::now() - event);
      break;
    case Scenario::hang:
    case Scenario::freeze:
      if (!server.freeze()) done = std::unexpected(server.name() + " does not run");
      break;
    case Scenario::host_dead:
      done = stage_->hosts().kill_host(from);
      run.died_ms = to_ms(Clock::now() - event);
      break;
    case Scenario::cut_eth0:
      done = stage_->hosts().cut_eth0(from);
      break;
    case Scenario::cut_serial:
      break;  // stay_calm()
    case Scenario::switchover: {
      const auto finished = stage_->daemon().command({"switchover"}, change_timeout);
      if (!finished) return std::unexpected(finished.error());
      if (finished->code != 0) return std::unexpected("pointsman switchover: " + finished->err);
      break;
    }
  }
  if (!done) return std::unexpected(done.error());
  return event;
}

// What a person would do on the host of the old primary.
Outcome FailoverBench::repair(FailoverRun& run, std::size_t from) {
  testbed::Server& server = stage_->server(from);
  switch (run.scenario) {
    case Scenario::crash:
      return server.start();
    case Scenario::hang:
      run.killed_by_agent = !server.running();
      server.kill();  // or its exit is only collected
      return server.start();
    case Scenario::freeze:
      server.thaw();
      return {};
    case Scenario::host_dead:
      return stage_->hosts().start_host(from);
    case Scenario::cut_eth0:
      // A commit that waits for a replica can hold up a fence; then the agent ends the server.
      run.killed_by_agent = !server.running();
      if (auto mended = stage_->hosts().mend_eth0(from); !mended) return mended;
      return run.killed_by_agent ? server.start() : Outcome{};
    case Scenario::cut_serial:
    case Scenario::switchover:
      break;
  }
  return {};
}

Outcome FailoverBench::bring_back(FailoverRun& run, std::size_t from, Moment event) {
  const std::size_t to = Stage::other(from);
  const Moment began = run.scenario == Scenario::switchover ? event : Clock::now();
  if (auto repaired = repair(run, from); !repaired) return repaired;
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
    std::this_thread::sleep_for(run_look_pause);
  }
}

}  // namespace pointsman::bench
