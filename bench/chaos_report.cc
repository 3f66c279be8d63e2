#include <algorithm>
#include <map>
#include <vector>

#include "bench/chaos.h"
#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

namespace {

struct Row {
  std::size_t rounds = 0;
  std::size_t passed = 0;
  std::size_t moved = 0;  // the primary was another one afterwards
  std::size_t decisions = 0;
  Audit::Count count;
  std::vector<double> gaps_ms;
  std::vector<double> settles_ms;

  void add(const ChaosRound& round) {
    ++rounds;
    passed += round.passed ? 1 : 0;
    moved += !round.primary_after.empty() && round.primary_after != round.primary_before ? 1 : 0;
    decisions += round.decisions;
    count.acknowledged += round.count.acknowledged;
    count.rows += round.count.rows;
    count.missing += round.count.missing;
    count.duplicates += round.count.duplicates;
    if (!round.passed) return;
    gaps_ms.push_back(round.gap_ms);
    settles_ms.push_back(round.settle_ms);
  }
};

std::string whole(double value) {
  return format_number(value);
}
std::string whole(std::size_t value) {
  return format_number(static_cast<double>(value));
}

std::vector<std::string> cells(const std::string& name, const Row& row) {
  const auto gap = summarise(row.gaps_ms);
  const auto settle = summarise(row.settles_ms);
  return {name,
          whole(row.rounds),
          whole(row.moved),
          whole(row.count.acknowledged),
          whole(row.count.missing),
          whole(row.count.duplicates),
          gap ? whole(gap->median) : "",
          gap ? whole(gap->max) : "",
          settle ? whole(settle->median) : "",
          settle ? whole(settle->max) : ""};
}

// A pair counts as one of its own: what it shows is neither of the two.
std::map<std::string, Row> by_fault(const ChaosResult& result) {
  std::map<std::string, Row> rows;
  for (const ChaosRound& round : result.rounds)
    rows[round.faults.contains(" + ") ? "two at once" : round.faults].add(round);
  return rows;
}

std::string command_of(const ChaosOptions& options) {
  std::string text = "pointsman-bench chaos --product " + std::string(testbed::to_string(options.product)) +
                     " --seed " + std::to_string(options.seed);
  if (options.writers != ChaosOptions().writers) text += " --writers " + std::to_string(options.writers);
  if (options.kinds.size() == all_fault_kinds.size()) return text;
  std::string kinds;
  for (const FaultKind kind : options.kinds) kinds += (kinds.empty() ? "" : ",") + to_string(kind);
  return text + " --faults " + kinds;
}

nlohmann::json to_json(const Row& row) {
  const auto gap = summarise(row.gaps_ms);
  const auto settle = summarise(row.settles_ms);
  return {{"rounds", row.rounds},
          {"passed", row.passed},
          {"moved", row.moved},
          {"decisions", row.decisions},
          {"acknowledged", row.count.acknowledged},
          {"rows", row.count.rows},
          {"missing", row.count.missing},
          {"duplicates", row.count.duplicates},
          {"gap_ms", gap ? to_json(*gap) : nlohmann::json()},
          {"settle_ms", settle ? to_json(*settle) : nlohmann::json()}};
}

}  // namespace

std::string chaos_text(const ChaosOptions& options, const ChaosResult& result) {
  std::string text = std::string(testbed::to_string(options.product)) + ", semi-sync required, " +
                     std::to_string(options.writers) + " writers, " + format_number(result.lasted_s) +
                     " s, seed " + std::to_string(options.seed) + "\n";
  Table table({"fault", "rounds", "moved", "acknowledged", "missing", "twice", "gap median", "max",
               "settled median", "max"});
  Row all;
  for (const auto& [name, row] : by_fault(result)) table.add(cells(name, row));
  for (const ChaosRound& round : result.rounds) all.add(round);
  table.add(cells("all", all));
  text += table.text();
  text +=
      "  gap: ms without a commit of any writer, from the first fault on; settled: ms after the last one was"
      " undone\n  moved: the primary was another one afterwards; rows without an answer that are there: " +
      whole(all.count.rows - std::min(all.count.rows, all.count.acknowledged)) +
      "\n  quarantined for a person, who discarded what was never acknowledged: " + whole(all.decisions) +
      "\n  two servers that accepted writes at once: looked for " + whole(static_cast<double>(result.looks)) +
      " times\n  the same again: " + command_of(options) + "\n";
  return text;
}

nlohmann::json to_json(const ChaosOptions& options, const ChaosResult& result) {
  nlohmann::json faults = nlohmann::json::object();
  Row all;
  for (const auto& [name, row] : by_fault(result)) faults[name] = to_json(row);
  nlohmann::json rounds = nlohmann::json::array();
  for (const ChaosRound& round : result.rounds) {
    all.add(round);
    rounds.push_back({{"number", round.number},
                      {"faults", round.faults},
                      {"supervised", round.supervised},
                      {"primary_before", round.primary_before},
                      {"primary_after", round.primary_after},
                      {"passed", round.passed},
                      {"acknowledged", round.count.acknowledged},
                      {"rows", round.count.rows},
                      {"missing", round.count.missing},
                      {"duplicates", round.count.duplicates},
                      {"gap_ms", round.gap_ms},
                      {"settle_ms", round.settle_ms},
                      {"decisions", round.decisions},
                      {"story", round.story}});
  }
  return {{"seed", options.seed},        {"semi_sync", "required"},    {"writers", options.writers},
          {"lasted_s", result.lasted_s}, {"looks", result.looks},      {"total", to_json(all)},
          {"faults", std::move(faults)}, {"rounds", std::move(rounds)}};
}

}  // namespace pointsman::bench
