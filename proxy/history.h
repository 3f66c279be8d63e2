#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/io/background.h"

namespace pointsman::proxy {

// The journal on disk (history.jsonl in the state directory, one JSON object a line, steps included) and its
// newest events in memory. Control loop's thread. Lines go to the disk on a pool thread in batches, in order;
// a disk that does not take them costs the newest lines of the file, never a moment of a failover (what a
// failover relies on is in state.json).
class History {
 public:
  static constexpr std::size_t kept_events = 1000;            // in memory, steps not counted
  static constexpr std::uint64_t rotate_bytes = 8ULL << 20U;  // then history.jsonl becomes history.1.jsonl
  static constexpr std::size_t max_waiting = std::size_t{1}
                                             << 20U;  // bytes; beyond it lines are dropped and counted

  History(io::Background& background, std::string state_dir);

  void load();  // at start; lines that cannot be understood are skipped
  void append(const nlohmann::json& event);
  // The newest `limit`, oldest first.
  std::vector<nlohmann::json> newest(std::size_t limit) const;
  void flush_now();  // at shutdown; blocks

  std::uint64_t dropped() const { return dropped_; }
  const std::string& last_error() const { return last_error_; }
  // Called with each event (not steps) as it is appended.
  std::function<void(const nlohmann::json&)> on_event;

 private:
  void flush();

  io::Background& background_;
  const std::string path_;
  std::deque<nlohmann::json> events_;
  std::string waiting_;
  bool writing_ = false;
  std::uint64_t dropped_ = 0;
  std::string last_error_;
};

}  // namespace pointsman::proxy
