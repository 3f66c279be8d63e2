#pragma once

#include <optional>
#include <string>
#include <vector>

#include "health/core/ids.h"
#include "health/core/time.h"

// What `events` shows: one record for each thing that happened, finished changes with the time of each step.
namespace pointsman::core {

struct StepTime {
  std::string name;
  Duration took{};
  std::string note;
};

struct HistoryRecord {
  std::string kind;  // "step", or one of conf/event_kinds.h
  Epoch epoch;
  std::string message;  // a sentence
  std::string backend;  // of records about one server
  std::string from;
  std::string to;
  std::string verdict;
  std::vector<StepTime> steps;
  std::optional<Duration> total;  // from the evidence to the opened route
  std::vector<std::string> lost;  // GTIDs that may be lost
  std::string safe;               // of a failover: GTIDs that surely are not
  std::string gtid;               // of a phase without semi-sync: the position where it began, or ended
  bool failed = false;
  bool is_change() const { return kind == "failover" || kind == "switchover"; }
};

}  // namespace pointsman::core
