#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "health/core/command.h"
#include "health/core/durable_state.h"
#include "health/core/history.h"
#include "health/core/ids.h"

// Everything that the decision core can want done. The driver performs them in order and reports back by
// events.
namespace pointsman::core {

struct SendCommand {
  CommandId id;
  BackendId backend;
  Command command;
};
// Free a stuck command thread.
struct AbortCommands {
  BackendId backend;
};
// Connect by TCP, up to `attempts` times in a row while refused; answered by ReconnectChecked.
struct CheckReconnect {
  BackendId backend;
  unsigned attempts = 1;
};
struct ProbeNow {
  BackendId backend;
};

// Save the transactions that this server has and `source`, the primary, has not, and take them back: undone
// where that can be, by a fresh copy of the source otherwise. The server is read-only and replicates from
// nobody. Takes up to hours; ended by AbortTakeBack. Idempotent, also over the daemon's end. Answered by
// TookBack.
struct TakeBack {
  CommandId id;
  BackendId backend;
  BackendId source;
  GtidSet errant;  // empty: an earlier order was not seen to its end
  GtidSet keep;    // what the source has
  // Not empty: refuse when the server was started again between the last of these that it wrote itself and
  // one of the errant. What it wrote in a later run may be of somebody who writes there, and was answered.
  GtidSet reign;
  // Refuse also when the server was shut down after the errant, and not killed.
  bool not_if_shut_down = false;
};
// Answered by TookBack, soon.
struct AbortTakeBack {
  BackendId backend;
};

enum class RouteMode { open, holding, draining, closed };
const char* to_string(RouteMode mode);
struct SetRoute {
  std::uint64_t token = 0;  // answered by RouteApplied
  Epoch epoch;
  RouteMode mode = RouteMode::closed;
  std::optional<BackendId> backend;
  std::string reason;
};
// Make durable; answered by StateStored. Versions grow; a newer one may overtake an older one that was not
// begun yet (which is then answered with the newer one's result).
struct StoreState {
  std::uint64_t version = 0;
  DurableState state;
};
struct RunFenceCommand {
  BackendId backend;
};
// Append to the history (and, for kind "step", to the journal only).
struct Record {
  HistoryRecord record;
};
struct Reply {
  RequestId id;
  bool ok = true;
  std::string text;
  std::optional<HistoryRecord> outcome;  // a finished change
  struct PlannedStep {
    std::string step;
    std::string backend;
    std::string what;
  };
  std::vector<PlannedStep> plan;     // of a dry run
  std::vector<std::string> waits;    // what it would have to wait for first, sentences
  std::vector<std::string> refused;  // "name: why"
};

using Action = std::variant<SendCommand, AbortCommands, CheckReconnect, ProbeNow, SetRoute, StoreState,
                            RunFenceCommand, TakeBack, AbortTakeBack, Record, Reply>;
using Actions = std::vector<Action>;

}  // namespace pointsman::core
