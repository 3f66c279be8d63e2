#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/client_run.h"
#include "bench/gap.h"
#include "bench/scenario.h"
#include "bench/stage.h"

// Measures how long clients cannot write when the primary changes: real servers, real writers, one event a
// run.
namespace pointsman::bench {

struct FailoverOptions {
  testbed::Product product = testbed::Product::mariadb;
  std::vector<Scenario> scenarios{Scenario::crash};
  unsigned runs = 10;
  unsigned clients = 4;
  Pace pace{};                     // of each writer
  std::optional<unsigned> rate{};  // commits a second of all writers, on schedule
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
  std::vector<std::string> settings{};     // further lines for the servers' my.cnf
  testbed::Keys keys{};                    // of pointsman.toml, which win over ours
  Wishes wishes{};                         // how the installation is to differ from the scenario's own
  std::filesystem::path work_directory{};  // "": a fresh one; otherwise it is kept
};

// What is to be seen when nothing may happen (cut_serial). In ms.
struct Calm {
  double pause_ms = 0;          // the longest time without a commit of any writer after the event
  double slowest_pause_ms = 0;  // the longest of one writer
  double pause_before_ms = 0;   // the same two in a time as long before the event
  double slowest_pause_before_ms = 0;
  double watched_ms = 0;  // for so long, each
  double noticed_ms = 0;  // from the cut until status said the link dead
  double mended_ms = 0;   // from the mending until it said alive
  // All that was not alive in status at the end of that time: "db1 serial dead". One is right.
  std::vector<std::string> links_down;
};

struct FailoverRun : ClientRun {
  Scenario scenario = Scenario::crash;
  unsigned number = 0;  // from 1, over all scenarios
  std::string from;
  std::string to;
  // All in ms.
  std::optional<double> died_ms;  // crash, host_dead: until the kernel had taken the killed server down
  std::optional<Calm> calm;       // cut_serial: instead of all the times above
  double deadtime_ms = 0;         // as configured
  bool killed_by_agent = false;   // hang, cut_eth0
  nlohmann::json change;          // the daemon's record: steps, total_ms, verdict, lost
  bool rejoined = false;          // the old primary became a replica without help
  bool quarantined = false;       // it did not, and was built anew
  // Transactions that it came back with alone and that were taken back; MariaDB: at most, by their numbers.
  std::uint64_t taken_back = 0;
  std::string taken_back_how;  // the daemon's words; "": there were none
  double rejoin_ms =
      0;  // from its restart (freeze: thaw; cut_eth0: mending; switchover: the event) until all is settled
};

nlohmann::json to_json(const FailoverRun& run);

// Drives a stage through any number of runs; the next run goes the other way. One thread.
class FailoverBench {
 public:
  // `stop`: true to end before the next run. `progress`: a line for a person, now and then.
  FailoverBench(FailoverOptions options, std::function<bool()> stop,
                std::function<void(const std::string&)> progress)
      : options_(std::move(options)), stop_(std::move(stop)), progress_(std::move(progress)) {}

  // All scenarios, each on a fresh stage. Fills runs() as far as it gets. Error: what went wrong, in which
  // run.
  std::expected<void, std::string> run();
  // The same in parts, for who alternates between two benches: a fresh stage, and then one run after another.
  std::expected<void, std::string> prepare(Scenario scenario);
  std::expected<void, std::string> run_next();

  const FailoverOptions& options() const { return options_; }
  const std::vector<FailoverRun>& runs() const { return runs_; }

 private:
  using Outcome = std::expected<void, std::string>;
  using Writers = std::vector<std::unique_ptr<Writer>>;

  std::expected<FailoverRun, std::string> run_once();
  Outcome move_primary(FailoverRun& run, std::size_t from);
  Outcome stay_calm(FailoverRun& run, std::size_t primary);
  void tell(const FailoverRun& run) const;
  std::expected<Writers, std::string> start_writers(unsigned number);
  std::expected<Moment, std::string> cause(FailoverRun& run, std::size_t from);
  Outcome wait_for_commits(const Writers& writers, Moment after, const std::string& what);
  Outcome repair(FailoverRun& run, std::size_t from);
  Outcome bring_back(FailoverRun& run, std::size_t from, Moment event);
  Recording record(const Writers& writers, Moment end) const;
  Outcome evaluate(FailoverRun& run, Recording recording, std::size_t to, Moment event);
  Outcome find_rows(FailoverRun& run, std::size_t primary, std::vector<std::vector<Commit>>& commits);
  Outcome find_change(FailoverRun& run);
  Outcome find_taken_back(FailoverRun& run, const std::vector<nlohmann::json>& events) const;

  FailoverOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  std::unique_ptr<Stage> stage_;
  Scenario scenario_ = Scenario::crash;  // of the stage
  unsigned of_scenario_ = 0;             // runs on this stage so far
  std::optional<Schedule> schedule_;     // of the run that is on
  std::vector<FailoverRun> runs_;
};

}  // namespace pointsman::bench
