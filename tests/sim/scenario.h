#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "health/core/topology.h"
#include "tests/sim/world.h"

namespace pointsman::sim {

// A world in which a test lives: begins with everybody in place, and ends by looking whether anything
// happened that must never happen; then it shows the last part of what did.
class Scenario : public World {
 public:
  explicit Scenario(WorldOptions options = {}) : World(traced(std::move(options))) {
    if (daemon_runs()) run_until_steady(5s);
    forget_setup_ = records().size();
  }
  ~Scenario() {
    for (const auto& violation : violations()) ADD_FAILURE() << violation;
    if (!::testing::Test::HasFailure()) return;
    std::string text;
    for (const auto& line : trace()) text += line + "\n";
    constexpr std::size_t most = 12000;
    if (text.size() > most) text = "...\n" + text.substr(text.size() - most);
    GTEST_LOG_(INFO) << "what happened:\n" << text;
  }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // Until no change of primary runs, after one was begun or ended.
  bool run_until_idle(core::Duration limit = 30s) {
    return run_until(
        [this] { return daemon_runs() && core().change() == nullptr && routed().has_value() && changed(); },
        limit);
  }
  // A change of primary has ended.
  bool changed() const { return !records("failover").empty() || !records("switchover").empty(); }

  // The newest record of a kind; an empty one when there is none.
  core::HistoryRecord last(std::string_view kind) const {
    const auto some = records(kind);
    return some.empty() ? core::HistoryRecord{} : some.back();
  }
  std::string answer_text(core::RequestId id) const {
    return answer(id) != nullptr ? answer(id)->text : "(no answer)";
  }
  bool answered_ok(core::RequestId id) const { return answer(id) != nullptr && answer(id)->ok; }

 private:
  static WorldOptions traced(WorldOptions options) {
    options.trace = true;
    return options;
  }
  std::size_t forget_setup_ = 0;
};

inline WorldOptions servers(std::size_t n, std::function<void(conf::Config&)> configure = {}) {
  WorldOptions options;
  options.servers = n;
  options.configure = std::move(configure);
  return options;
}

// Rows come to it from the primary: directly, or by way of others where an operator chained it.
inline bool gets_rows(const World& world, std::size_t i, std::size_t primary) {
  std::size_t at = i;
  for (std::size_t hops = 0; hops < world.size() && at != primary; ++hops) {
    const auto& replication = world.server(at).replication;
    if (!replication || !replication->connected || replication->sql_errno != 0) return false;
    std::size_t source = 0;
    while (source < world.size() && world.server(source).settings.address != replication->source) ++source;
    if (source == world.size()) return false;
    const bool chained = world.config().replication.chained == conf::Chained::keep && world.was_chained(at);
    if (source != primary && !chained) return false;
    at = source;
  }
  return at == primary;
}

// One primary takes writes and is routed; everybody else gets its rows, or is quarantined and it is said why.
// Of one that an operator chained it is said what keeps it from them.
inline bool serviceable(const World& world) {
  const auto primary = world.routed();
  if (!world.daemon_runs() || !primary || world.core().change() != nullptr) return false;
  if (!world.server(*primary).accepts_writes()) return false;
  for (std::size_t i = 0; i < world.size(); ++i) {
    if (i == *primary || world.view(i).maintenance) continue;
    const ModelServer& server = world.server(i);
    const core::Server& view = world.view(i);
    if (server.accepts_writes()) return false;
    const bool stated =
        view.quarantined && !view.errant.empty() && view.trouble.find("does not have") != std::string::npos;
    const bool chained = world.was_chained(i) && core::keeps_chain(world.core().cluster(), view);
    if (!stated && !gets_rows(world, i, *primary) && !(chained && !view.trouble.empty())) return false;
  }
  return true;
}

inline std::string step_names(const core::HistoryRecord& record) {
  std::string names;
  for (const auto& step : record.steps) names += (names.empty() ? "" : " ") + step.name;
  return names;
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
inline bool any_contains(const std::vector<std::string>& lines, std::string_view part) {
  return std::ranges::any_of(lines, [&](const auto& line) { return contains(line, part); });
}

}  // namespace pointsman::sim
