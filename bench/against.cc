#include "bench/against.h"

#include <algorithm>
#include <ctime>
#include <thread>
#include <utility>

#include <unistd.h>

#include "bench/shell.h"
#include "bench/warm_up.h"

namespace pointsman::bench {

namespace {

using Millis = std::chrono::milliseconds;

constexpr Millis look_pause{2};
constexpr Millis ask_pause{250};  // between two questions to the endpoint during an outage
constexpr Millis connect_pause{100};
// A read that is routed to a replica may be behind; after this a row is missing.
constexpr Millis look_up_patience{10000};

Millis millis(conf::Duration time) {
  return std::chrono::duration_cast<Millis>(time);
}

std::string seconds_text(conf::Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

void mark_sides(Recording& recording, Moment event) {
  const Commit* last = nullptr;
  for (const auto& of_writer : recording.commits) {
    for (const Commit& commit : of_writer) {
      if (commit.acknowledged > event || commit.server == 0) continue;
      if (last == nullptr || commit.acknowledged > last->acknowledged) last = &commit;
    }
  }
  const unsigned old_server = last == nullptr ? 0 : last->server;
  for (std::size_t writer = 0; writer < recording.commits.size(); ++writer) {
    std::optional<Moment> again;  // its first commit on a connection made after the event
    for (const auto& interruption : recording.interruptions[writer]) {
      if (again || interruption.connected <= event || interruption.committed <= event) continue;
      again = interruption.committed;
    }
    for (Commit& commit : recording.commits[writer]) {
      if (commit.server == 0) continue;
      const bool other = old_server != 0 && commit.server != old_server;
      const bool later = again && commit.acknowledged >= *again;
      commit.server = commit.acknowledged > event && (other || later) ? 2 : 1;
    }
  }
}

AgainstBench::AgainstBench(AgainstOptions options, std::function<bool()> stop,
                           std::function<void(const std::string&)> progress)
    : options_(std::move(options)), stop_(std::move(stop)), progress_(std::move(progress)) {
  table_ = "`" + options_.file.endpoint.database + "`.pointsman_bench_" + std::to_string(std::time(nullptr)) +
           "_" + std::to_string(::getpid());
}

AgainstBench::Outcome AgainstBench::command(const char* name, const std::string& text) const {
  if (text.empty()) return {};
  progress_(name);
  return run_shell(name, text, millis(options_.file.commands.timeout));
}

std::expected<testbed::Sql, testbed::SqlError> AgainstBench::connect() const {
  const AgainstEndpoint& endpoint = options_.file.endpoint;
  return testbed::Sql::connect(
      {.address = endpoint.address,
       .login = {endpoint.user, endpoint.password},
       .database = endpoint.database,
       .timeout = std::chrono::duration_cast<std::chrono::seconds>(endpoint.timeout)});
}

AgainstBench::Outcome AgainstBench::run() {
  Outcome done = command("commands.start", options_.file.commands.start);
  if (done) done = prepare();
  if (done) done = run_all();
  writers_.clear();
  std::size_t missing = 0;
  for (const AgainstRun& run : runs_) missing += run.missing;
  if (missing > 0) {
    progress_("the table " + table_ + " is kept, as rows are missing from it");
  } else {
    drop_table();
  }
  if (auto cleaned = command("commands.clean_up", options_.file.commands.clean_up); !cleaned) {
    return done ? cleaned : std::unexpected(done.error() + "\n" + cleaned.error());
  }
  return done;
}

// Until the endpoint takes a write.
AgainstBench::Outcome AgainstBench::prepare() {
  const auto deadline = Clock::now() + options_.file.commands.ready_within;
  for (;;) {
    std::string why;
    if (auto sql = connect()) {
      const auto version = sql->scalar("SELECT VERSION()");
      const auto made = sql->execute(create_table_statement(table_));
      if (version && made) {
        server_version_ = *version;
        return {};
      }
      why = version ? made.error().text : version.error().text;
    } else {
      why = sql.error().text;
    }
    if (Clock::now() >= deadline) return std::unexpected("the endpoint takes no writes: " + why);
    std::this_thread::sleep_for(connect_pause);
  }
}

void AgainstBench::drop_table() {
  if (server_version_.empty()) return;  // it was never made
  auto sql = connect();
  if (sql && sql->execute("DROP TABLE IF EXISTS " + table_)) return;
  progress_("the table " + table_ + " could not be dropped");
}

AgainstBench::Outcome AgainstBench::run_all() {
  for (unsigned number = 1; number <= options_.runs; ++number) {
    if (stop_()) return std::unexpected("interrupted");
    AgainstRun run;
    run.number = number;
    const auto done = run_once(run);
    writers_.clear();
    if (!done) return std::unexpected("run " + std::to_string(number) + ": " + done.error());
    progress_("run " + std::to_string(number) + "/" + std::to_string(options_.runs) + "  gap " +
              std::to_string(static_cast<long>(run.gap_ms)) + " ms" +
              (run.by_itself ? "" : " (went on with restore only)") + "  missing " +
              std::to_string(run.missing));
    runs_.push_back(std::move(run));
  }
  return {};
}

AgainstBench::Outcome AgainstBench::start_writers(AgainstRun& run) {
  schedule_.reset();
  if (options_.rate) schedule_.emplace(Clock::now(), *options_.rate, options_.clients);
  for (unsigned i = 0; i < options_.clients; ++i) {
    writers_.push_back(std::make_unique<Writer>(Writer::Options{.connect = [this] { return connect(); },
                                                                .table = table_,
                                                                .run = run.number,
                                                                .number = i,
                                                                .pace = options_.pace,
                                                                .schedule = schedule_}));
  }
  const auto deadline = Clock::now() + options_.file.commands.ready_within;
  const std::uint64_t enough = schedule_ ? 1 : warm_up_commits;
  while (!std::ranges::all_of(writers_, [=](const auto& writer) { return writer->commits() >= enough; })) {
    if (Clock::now() >= deadline)
      return std::unexpected("not every writer commits within commands.ready_within");
    std::this_thread::sleep_for(look_pause);
  }
  wait_until_on_schedule(writers_, schedule_);
  std::this_thread::sleep_for(timeline_before);
  return {};
}

AgainstBench::Outcome AgainstBench::run_once(AgainstRun& run) {
  if (auto started = start_writers(run); !started) return started;
  event_ = Clock::now();
  if (auto done = fail_over(run); !done) {
    // As well as it can be: the endpoint is somebody's.
    const auto restored = command("commands.restore", options_.file.commands.restore);
    return restored ? done : std::unexpected(done.error() + "\n" + restored.error());
  }
  const Moment restoring = Clock::now();
  if (auto restored = command("commands.restore", options_.file.commands.restore); !restored) return restored;
  const Moment restored = Clock::now();
  run.restore_ms = to_ms(restored - restoring);
  std::vector<std::uint64_t> commits;
  for (const auto& writer : writers_) commits.push_back(writer->commits());
  if (auto back = wait_after_restore(restored, commits); !back) return back;
  run.back_ms = to_ms(Clock::now() - restoring);
  std::this_thread::sleep_until(event_ + timeline_after);
  wait_until_on_schedule(writers_, schedule_);
  stop_all(writers_);
  return evaluate(run, Clock::now());
}

// Kills the primary and waits until writes go on, or until that is no longer to be expected.
AgainstBench::Outcome AgainstBench::fail_over(AgainstRun& run) {
  const AgainstCommands& commands = options_.file.commands;
  if (auto killed = command("commands.kill", commands.kill); !killed) return killed;
  run.kill_ms = to_ms(Clock::now() - event_);
  looked_ = Clock::now();
  commits_ = total_commits();
  const auto deadline = Clock::now() + commands.restore_after;
  while (Clock::now() < deadline) {
    if (all_went_on(run)) {
      run.by_itself = true;
      std::this_thread::sleep_until(event_ + timeline_after);  // the restoring is not to be in the picture
      return {};
    }
    std::this_thread::sleep_for(look_pause);
  }
  progress_("writes do not go on by themselves within " + seconds_text(commands.restore_after));
  return {};
}

std::uint64_t AgainstBench::total_commits() const {
  std::uint64_t commits = 0;
  for (const auto& writer : writers_) commits += writer->commits();
  return commits;
}

// Each on a connection made after the event; or, behind a proxy that keeps its clients' connections, on
// another server than before, which the rows tell.
bool AgainstBench::all_went_on(const AgainstRun& run) {
  std::vector<unsigned> waiting;
  for (const auto& writer : writers_) {
    if (writer->committing_since() <= event_) waiting.push_back(writer->number());
  }
  if (waiting.empty()) return true;
  if (Clock::now() - looked_ < ask_pause) return false;
  looked_ = Clock::now();
  // Not of an endpoint that answers nobody: the question would hang, and `restore` be late.
  const std::uint64_t commits = total_commits();
  if (std::exchange(commits_, commits) == commits) return false;
  auto sql = connect();
  if (!sql) return false;
  const auto moved =
      sql->query("SELECT writer FROM " + table_ + " WHERE run = " + std::to_string(run.number) +
                 " GROUP BY writer HAVING COUNT(DISTINCT server) > 1");
  if (!moved) return false;
  return std::ranges::all_of(waiting, [&](unsigned writer) {
    return std::ranges::any_of(
        moved->rows, [&](const auto& row) { return row[0].value_or("") == std::to_string(writer); });
  });
}

AgainstBench::Outcome AgainstBench::wait_after_restore(Moment restored,
                                                       const std::vector<std::uint64_t>& commits) {
  const auto deadline = restored + options_.file.commands.ready_within;
  for (std::size_t i = 0; i < writers_.size(); ++i) {
    while (writers_[i]->commits() <= commits[i]) {
      if (Clock::now() >= deadline) {
        return std::unexpected("writer " + std::to_string(i) + " does not commit within " +
                               seconds_text(options_.file.commands.ready_within) + " after commands.restore");
      }
      std::this_thread::sleep_for(look_pause);
    }
  }
  return {};
}

AgainstBench::Outcome AgainstBench::evaluate(AgainstRun& run, Moment end) {
  Recording recording{.commits = {}, .interruptions = {}, .schedule = schedule_, .end = end};
  for (const auto& writer : writers_) {
    recording.commits.push_back(writer->record());
    recording.interruptions.push_back(writer->interruptions());
    run.acknowledged += recording.commits.back().size();
  }
  if (auto found = look_up(run, recording); !found) return found;
  run.missing = count_missing(recording.commits);
  mark_sides(recording, event_);
  constexpr unsigned after = 2;
  if (auto measured = measure_clients(run, recording, event_, after); !measured) {
    return std::unexpected(
        measured.error() +
        "; did commands.kill end the primary? No writer lost its connection or met another "
        "server");
  }
  return {};
}

// Through the endpoint, as its users would.
AgainstBench::Outcome AgainstBench::look_up(AgainstRun& run, Recording& recording) const {
  const auto deadline = Clock::now() + look_up_patience;
  for (;;) {
    Outcome found;
    if (auto sql = connect()) {
      found = look_up_rows(*sql, table_, run.number, recording.commits);
    } else {
      found = std::unexpected(sql.error().text);
    }
    if (found && count_missing(recording.commits) == 0) return found;
    if (Clock::now() >= deadline) return found;
    std::this_thread::sleep_for(connect_pause);
  }
}

}  // namespace pointsman::bench
