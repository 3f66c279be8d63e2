#pragma once

#include <array>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/haproxy.h"
#include "bench/relay.h"
#include "bench/stage.h"
#include "bench/sysbench.h"
#include "bench/tool_output.h"

// What one query costs the relay, counted and not timed: system calls (strace) and instructions in user space
// (callgrind), of Pointsman and of HAProxy with one thread each. What else the machine does is not in it.
namespace pointsman::bench {

struct CostOptions {
  unsigned idle_connections = 10000;  // of the last row; 0: without it
};

// What the clients do, in so many transactions, and then in so many more.
struct CostWork {
  Workload workload = Workload::point_select;
  unsigned clients = 1;
  bool beside_idle = false;
  unsigned events = 0;
  unsigned more_events = 0;
};

struct CostRow {
  CostWork work;
  unsigned idle = 0;
  struct Cost {
    CallCounts calls{};
    double instructions = 0;
  };
  std::array<Cost, relay_paths.size()> costs{};  // by Path; of direct: nothing
  const Cost& of(Path path) const { return costs[static_cast<std::size_t>(path)]; }
};

extern const char* const cost_definitions;  // part of --help
std::string cost_text(const std::vector<CostRow>& rows);
nlohmann::json cost_json(const std::vector<CostRow>& rows);

class RelayCost {
 public:
  RelayCost(CostOptions options, std::function<bool()> stop, std::function<void(const std::string&)> progress)
      : options_(options), stop_(std::move(stop)), progress_(std::move(progress)) {}

  std::expected<void, std::string> run();
  const std::vector<CostRow>& rows() const { return rows_; }

 private:
  using Outcome = std::expected<void, std::string>;
  struct Target {
    Path path;
    conf::HostPort address;
    pid_t pid;
  };
  // Begins to count, and says what was counted since.
  struct Counter {
    std::function<Outcome()> begin;
    std::function<std::expected<CallCounts, std::string>()> end;
  };

  Outcome count_calls(Stage& stage, const Sysbench& sysbench);
  Outcome count_instructions(Stage& stage, const Sysbench& sysbench);
  Outcome count_rows(const Target& target, const testbed::Login& login, const Sysbench& sysbench,
                     const Counter& counter, const std::function<void(CostRow::Cost&, CallCounts)>& store);
  std::expected<CallCounts, std::string> count(const Target& target, const CostWork& work,
                                               const Sysbench& sysbench, const Counter& counter) const;

  CostOptions options_;
  std::function<bool()> stop_;
  std::function<void(const std::string&)> progress_;
  std::vector<CostRow> rows_;
  unsigned idle_ = 0;  // as many as the limit of open files allows
};

}  // namespace pointsman::bench
