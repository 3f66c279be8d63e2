#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/gap.h"
#include "bench/stage.h"

// Measures how long clients cannot write when the primary changes: real servers, real writers, one event a
// run.
namespace pointsman::bench {

enum class Scenario { crash, freeze, switchover };
const char* to_string(Scenario scenario);

struct FailoverOptions {
  testbed::Product product = testbed::Product::mariadb;
  std::vector<Scenario> scenarios{Scenario::crash};
  unsigned runs = 10;
  unsigned clients = 4;
  std::chrono::milliseconds think_time{0};  // of each writer, after a commit
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
  std::filesystem::path work_directory{};  // "": a fresh one; otherwise it is kept
};

// How the writer that committed first on the new primary got there; from the event, in ms.
struct Way {
  double broken_ms = 0;     // its connection ended
  double connected_ms = 0;  // it was logged in again
  double committed_ms = 0;
  unsigned failed = 0;  // connects that failed in between
  std::string error;    // what the client library said of the end
};

struct FailoverRun {
  Scenario scenario = Scenario::crash;
  unsigned number = 0;  // from 1, over all scenarios
  std::string from;
  std::string to;
  // All in ms.
  double gap_ms = 0;  // last commit acknowledged by the old primary -> first one by the new, all writers
  double slowest_gap_ms = 0;  // the same for the writer whose gap was the longest
  double since_event_ms = 0;  // the event -> first commit acknowledged by the new primary
  double commit_ms = 0;       // median time between a writer's commits before the event
  std::vector<std::optional<double>> writer_gap_ms;
  std::optional<double> died_ms;  // crash: until the kernel had taken the killed server down
  Way way;
  nlohmann::json change;  // the daemon's record: steps, total_ms, verdict, lost
  std::size_t acknowledged = 0;
  std::size_t missing = 0;   // acknowledged rows that the new primary does not have
  bool rejoined = false;     // the old primary became a replica without help
  bool quarantined = false;  // it did not, and was built anew
  double rejoin_ms = 0;      // from its restart (freeze: thaw; switchover: the event) until all is settled
};

nlohmann::json to_json(const FailoverRun& run);

// Drives one stage through any number of runs; the next run goes the other way. One thread.
class FailoverBench {
 public:
  // `stop`: true to end before the next run. `progress`: a line for a person, now and then.
  FailoverBench(FailoverOptions options, std::function<bool()> stop,
                std::function<void(const std::string&)> progress)
      : options_(std::move(options)), stop_(std::move(stop)), progress_(std::move(progress)) {}

  // Fills runs() as far as it gets. Error: what went wrong and in which run.
  std::expected<void, std::string> run();

  const FailoverOptions& options() const { return options_; }
  const std::vector<FailoverRun>& runs() const { return runs_; }

 private:
  using Outcome = std::expected<void, std::string>;
  using Writers = std::vector<std::unique_ptr<Writer>>;

  std::expected<FailoverRun, std::string> run_once(Scenario scenario, unsigned number);
  std::expected<Writers, std::string> start_writers(unsigned number);
  std::expected<Moment, std::string> cause(FailoverRun& run, std::size_t from);
  Outcome wait_for_commits(const Writers& writers, Moment after, const std::string& what);
  Outcome bring_back(FailoverRun& run, std::size_t from, Moment event);
  Outcome evaluate(FailoverRun& run, const Writers& writers, std::size_t to, Moment event);

  FailoverOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  std::unique_ptr<Stage> stage_;
  std::vector<FailoverRun> runs_;
};

}  // namespace pointsman::bench
