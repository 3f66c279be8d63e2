#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/against_file.h"
#include "bench/client_run.h"

// Measures an endpoint that somebody else runs, a virtual IP or another proxy, with the clients of the
// failover benchmark: how long they cannot write when its primary is killed.
namespace pointsman::bench {

struct AgainstOptions {
  AgainstFile file;
  unsigned runs = 5;
  unsigned clients = 4;
  Pace pace{};
  std::optional<unsigned> rate;  // commits a second of all writers, on schedule
};

struct AgainstRun : ClientRun {
  unsigned number = 0;     // from 1
  bool by_itself = false;  // all writers went on before `restore`
  double kill_ms = 0;      // how long the command took; the event is its start
  double restore_ms = 0;   // the command
  double back_ms = 0;      // from its start until each writer had committed after it
};

// Tells before from after without knowing the servers: gives each commit 2 as its server when it was
// acknowledged after the event on a connection made after it, or by another server than the last one before
// the event, as behind a proxy that keeps its clients' connections; and 1 to all others. Rows that are
// missing stay 0. Pure.
void mark_sides(Recording& recording, Moment event);

class AgainstBench {
 public:
  // `stop`: true to end before the next run. `progress`: a line for a person, now and then.
  AgainstBench(AgainstOptions options, std::function<bool()> stop,
               std::function<void(const std::string&)> progress);

  // `start`, all runs, and `clean_up` whatever became of them. Fills runs() as far as it gets.
  std::expected<void, std::string> run();

  const std::vector<AgainstRun>& runs() const { return runs_; }
  const std::string& server_version() const { return server_version_; }

 private:
  using Outcome = std::expected<void, std::string>;
  using Writers = std::vector<std::unique_ptr<Writer>>;

  Outcome command(const char* name, const std::string& text) const;
  std::expected<testbed::Sql, testbed::SqlError> connect() const;
  Outcome prepare();
  Outcome run_all();
  Outcome run_once(AgainstRun& run);
  Outcome start_writers(AgainstRun& run);
  Outcome fail_over(AgainstRun& run);
  std::uint64_t total_commits() const;
  bool all_went_on(const AgainstRun& run);
  Outcome wait_after_restore(Moment restored, const std::vector<std::uint64_t>& commits);
  Outcome evaluate(AgainstRun& run, Moment end);
  Outcome look_up(AgainstRun& run, Recording& recording) const;
  void drop_table();

  AgainstOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  std::string table_;  // of this invocation alone
  std::string server_version_;
  // Of the run that is on.
  Writers writers_;
  std::optional<Schedule> schedule_;
  Moment event_;
  // all_went_on() last looked whether to ask the endpoint, and what had been committed by then.
  Moment looked_;
  std::uint64_t commits_ = 0;
  std::vector<AgainstRun> runs_;
};

}  // namespace pointsman::bench
