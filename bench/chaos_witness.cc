#include "bench/chaos_witness.h"

#include <algorithm>
#include <utility>

#include "tests/testbed/sql.h"

namespace pointsman::bench {

namespace {

constexpr std::chrono::milliseconds witness_look_pause{20};
constexpr std::chrono::seconds answer_timeout{1};  // a frozen server does not answer
constexpr std::size_t max_changes = 1000;

constexpr const char* accepts = "accepts writes";
constexpr const char* refuses = "is read-only";
constexpr const char* silent = "does not answer";

}  // namespace

bool OverlapJudge::see(unsigned server, const Look& look) {
  auto& run = runs_[server];
  if (!look.writable) {
    run.clear();
    return false;
  }
  if (!run.empty() && look.asked - run.back().answered > longest_step) run.clear();
  run.push_back(look);
  if (run.size() > remembered) run.pop_front();
  return alternates(0) || alternates(1);
}

bool OverlapJudge::alternates(unsigned first) const {
  // Backwards: the last look of the one that comes second, and of each the latest that ended before the next
  // began.
  const unsigned second = 1 - first;
  if (runs_[second].empty()) return false;
  Moment before = runs_[second].back().asked;
  for (const unsigned server : {first, second, first}) {
    const auto& run = runs_[server];
    const auto found = std::find_if(run.rbegin(), run.rend(),
                                    [before](const Look& look) { return look.answered <= before; });
    if (found == run.rend()) return false;
    before = found->asked;
  }
  return true;
}

Witness::Witness(std::vector<std::filesystem::path> sockets)
    : sockets_(std::move(sockets)), states_(sockets_.size()) {
  for (std::size_t i = 0; i < sockets_.size(); ++i)
    threads_.emplace_back([this, i](const std::stop_token& stop) { watch(stop, i); });
}

Witness::~Witness() {
  for (auto& thread : threads_) thread.request_stop();
}

std::string Witness::violation() const {
  const std::scoped_lock lock(mutex_);
  return violation_;
}

std::vector<Witness::Change> Witness::take_changes() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(changes_, {});
}

void Witness::watch(const std::stop_token& stop, std::size_t server) {
  std::optional<testbed::Sql> sql;
  while (!stop.stop_requested()) {
    Look look{.asked = Clock::now(), .answered = {}, .writable = false};
    std::string state = silent;
    if (!sql) {
      auto connected = testbed::Sql::connect({.socket = sockets_[server], .timeout = answer_timeout});
      if (connected) sql = std::move(*connected);
    }
    if (sql) {
      const auto read_only = sql->scalar("SELECT @@GLOBAL.read_only");
      if (!read_only) sql.reset();
      if (read_only) state = *read_only == "0" ? accepts : refuses;
    }
    look.answered = Clock::now();
    look.writable = state == accepts;
    note(server, look, state);
    std::this_thread::sleep_for(witness_look_pause);
  }
}

void Witness::note(std::size_t server, const Look& look, const std::string& state) {
  looks_.fetch_add(1, std::memory_order_relaxed);
  const std::scoped_lock lock(mutex_);
  if (states_[server] != state && changes_.size() < max_changes)
    changes_.push_back({look.answered, server, state});
  states_[server] = state;
  if (judge_.see(static_cast<unsigned>(server), look) && violation_.empty()) {
    violation_ = "both servers accepted writes at the same time, as each of them said twice in turns";
    if (changes_.size() < max_changes) changes_.push_back({look.answered, server, "SECOND WRITER"});
  }
}

}  // namespace pointsman::bench
