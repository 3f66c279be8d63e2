#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/chaos_audit.h"
#include "bench/chaos_disk.h"
#include "bench/chaos_nemesis.h"
#include "bench/chaos_plan.h"
#include "bench/chaos_witness.h"
#include "bench/stage.h"

// A whole installation under writers, to which a nemesis does one thing after another; after each everything
// heals, and then nothing may be lost, doubled, different, writable twice or silent.
namespace pointsman::bench {

struct ChaosOptions {
  testbed::Product product = testbed::Product::mariadb;
  std::chrono::milliseconds time{600'000};  // no round begins later
  std::size_t rounds = 0;                   // at most; 0: no such limit
  std::uint64_t seed = 0;
  std::vector<FaultKind> kinds{all_fault_kinds.begin(), all_fault_kinds.end()};
  unsigned writers = 8;
  std::filesystem::path work_directory{};  // "": a fresh one; otherwise it is kept
};

struct ChaosRound {
  unsigned number = 0;  // from 1
  std::string faults;   // RoundPlan::name()
  bool supervised = true;
  std::string primary_before;
  std::string primary_after;
  Audit::Count count;
  double gap_ms = 0;       // the longest time without a commit of any writer, from the first fault on
  double settle_ms = 0;    // from the end of the last fault until all is in its place
  unsigned decisions = 0;  // what pointsman left to a person, who is we
  bool passed = false;
  std::vector<std::string> story;  // with the seconds since the round began
};

struct ChaosResult {
  std::vector<ChaosRound> rounds;
  double lasted_s = 0;
  std::uint64_t looks = 0;  // the witness's
  std::string error;        // "": all rounds passed; else the first one that did not, and why
};

// One thread. For root.
class Chaos {
 public:
  // `stop`: true to end after the present round. `progress`: a line for a person, now and then.
  Chaos(ChaosOptions options, std::function<bool()> stop, std::function<void(const std::string&)> progress)
      : options_(std::move(options)), stop_(std::move(stop)), progress_(std::move(progress)) {}

  // Until the time is over or a round fails.
  ChaosResult run();

 private:
  using Outcome = std::expected<void, std::string>;
  using Writers = std::vector<std::unique_ptr<Writer>>;

  Outcome prepare();
  Outcome play(const RoundPlan& plan, ChaosRound& round);
  Outcome wait_for_commits(const Writers& writers, const std::string& when);
  // Until one server is the primary and all else is in order; which.
  std::expected<std::size_t, std::string> wait_in_order();
  void decide_for_a_person();
  void tell_story(ChaosRound& round, Moment began);
  std::string failure(const ChaosRound& round, const std::string& why);

  ChaosOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  // Ended in reverse: the disk, when all that has files there is gone.
  std::optional<SmallDisk> disk_;
  std::unique_ptr<Stage> stage_;
  std::unique_ptr<Audit> audit_;
  std::unique_ptr<Witness> witness_;
  std::unique_ptr<Nemesis> nemesis_;
  std::vector<ChaosMoment> decisions_;  // of this round
};

// The table, and the command that plays the same again.
std::string chaos_text(const ChaosOptions& options, const ChaosResult& result);
nlohmann::json to_json(const ChaosOptions& options, const ChaosResult& result);

}  // namespace pointsman::bench
