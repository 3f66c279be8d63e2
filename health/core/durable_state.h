#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "health/core/ids.h"
#include "health/core/promise.h"
#include "health/core/semi_sync_phase.h"

// What outlives the daemon. Written whole, atomically and durably, before it is relied upon.
namespace pointsman::core {

// A change of primary was under way. Present from before the first server is touched until its outcome is
// stored.
struct ChangeMark {
  std::string kind;  // "failover" or "switchover"
  std::string from;  // name; "" when there was no primary
  std::string to{};  // name of the only one that can have been promoted; "": was not told
  bool operator==(const ChangeMark&) const = default;
};

// Whoever is primary is to run the scheduled events: a change of primary was begun, and since then it was not
// seen to that.
struct EventsDue {
  bool scheduler = false;  // the event scheduler too, as it ran on the primary before
  bool operator==(const EventsDue&) const = default;
};

struct DurableState {
  Epoch epoch;          // highest ever used
  std::string primary;  // name; "" when none is known
  std::optional<ChangeMark> change;
  std::optional<bool> automatic;  // the operator's word; nullopt: as configured
  bool paused = false;
  std::vector<std::string> maintenance;  // names
  std::vector<std::string> quarantined;  // names
  // Names of servers that are being made to follow the primary: while that lasts their replication is stopped
  // by us, not by a person.
  std::vector<std::string> following;
  // Names of servers whose agents were known to keep a lease.
  std::vector<std::string> leased;
  std::map<std::string, TakingBack> taking_back;  // by name of the server
  std::map<std::string, Promise> promises;        // by name of the former primary
  std::optional<Degraded> degraded;               // of the primary
  std::map<std::string, std::string> leaders;     // by name of a replica: the primary that it last followed
  std::optional<EventsDue> events_due;

  bool operator==(const DurableState&) const = default;
};

}  // namespace pointsman::core
