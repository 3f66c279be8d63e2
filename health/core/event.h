#pragma once

#include <expected>
#include <optional>
#include <string>
#include <variant>

#include "conf/config.h"
#include "health/core/command.h"
#include "health/core/frame.h"
#include "health/core/ids.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// Everything that the decision core can learn.
namespace pointsman::core {

struct ProbeSucceeded {
  BackendId backend;
  ServerReport report;
  Instant started;
  Instant finished;
};
struct ProbeFailed {
  BackendId backend;
  Failure failure;
  Instant finished;
};
// A frame of the agent on the backend's host that counts as life.
struct AgentHeard {
  BackendId backend;
  LinkKind link = LinkKind::udp;
  AgentWord word;
  Epoch epoch;         // the highest that the agent was told, ever
  bool newest = true;  // as in LinkSession::Received; an older one is life, its word is not believed
  // As there: it was sent after that.
  std::optional<Instant> ack_sent_at{};
  Instant at;
};
struct TrafficSeen {
  BackendId backend;
  Instant at;
};
// Answer to CheckReconnect.
struct ReconnectChecked {
  BackendId backend;
  unsigned refused_in_row = 0;
  bool accepted = false;
};
struct CommandFinished {
  CommandId id;
  BackendId backend;
  CommandResult result;
  Instant started;
};
// Answer to SetRoute: every worker has acted on it.
struct RouteApplied {
  std::uint64_t token = 0;
};
// Answer to StoreState.
struct StateStored {
  std::uint64_t version = 0;
  std::expected<void, std::string> result;
};
// Answer to RunFenceCommand.
struct FenceCommandFinished {
  BackendId backend;
  std::expected<void, std::string> result;
};
// Answer to TakeBack.
struct TookBack {
  CommandId id;
  BackendId backend;
  struct Report {
    ServerReport server;   // afterwards
    Instant started;       // of the report
    std::string saved_in;  // directory; empty: there was nothing to save
    std::string how;       // a clause: "undone by flashback"
  };
  // Kind unsupported: it cannot be done, and nothing was changed.
  std::expected<Report, Failure> result;
};
// Time passed; nothing else.
struct Tick {};

// An operator's wishes; each is answered by a Reply with its id.
struct SwitchoverWanted {
  RequestId id;
  std::optional<BackendId> to;
  bool dry_run = false;
  // How long to wait, while the clients are served, for what is in the way; and whether transactions that are
  // still open then are ended, or the switchover is given up.
  Duration max_wait = std::chrono::seconds(10);
  bool end_transactions = false;
};
struct FailoverWanted {
  RequestId id;
  std::optional<BackendId> to;
  bool force = false;
};
struct RejoinWanted {
  RequestId id;
  BackendId backend;
  bool discard = false;  // its own transactions, if it has any, saved before
};
struct MaintenanceWanted {
  RequestId id;
  BackendId backend;
  bool on = false;
};
struct AutomaticWanted {
  RequestId id;
  bool on = false;
};
struct PauseWanted {
  RequestId id;
  bool on = false;
};
// A configuration read again; its backends are the same ones.
struct Reconfigured {
  conf::Config config;
};

using Event =
    std::variant<ProbeSucceeded, ProbeFailed, AgentHeard, TrafficSeen, ReconnectChecked, CommandFinished,
                 RouteApplied, StateStored, FenceCommandFinished, TookBack, Tick, SwitchoverWanted,
                 FailoverWanted, RejoinWanted, MaintenanceWanted, AutomaticWanted, PauseWanted, Reconfigured>;

}  // namespace pointsman::core
