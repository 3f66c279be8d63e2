#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <variant>
#include <vector>

#include "conf/config.h"
#include "health/core/server_report.h"

// What the core can ask of one server's command thread, as data. Each is idempotent: a daemon that was killed
// in the middle of one may give it again.
namespace pointsman::core {

// Stop receiving from the source, once what the source has already sent has been read: until the receiver is
// seen to disconnect, as a dead source ends the stream by itself, or has got nothing new for `quiet`, bounded
// by `drain`. Starts a stopped applier that has no error, or was killed midway and has something to apply,
// unless what was received would be lost by that; fails when some of it is lost. The report's
// `replica->received` is final afterwards.
struct StopReceiving {
  std::chrono::milliseconds drain{50};
  std::chrono::milliseconds quiet{50};
};

// Undo of StopReceiving.
struct ResumeReceiving {};

// Start an applier that stands, whatever its error, beside a receiver that is connected; else do nothing.
struct StartApplier {};

// Wait until `target` is applied. Waits inside the server for the event, never by polling. Fails with kind
// timeout.
struct WaitApplied {
  GtidSet target;
  std::chrono::milliseconds timeout{30000};
};

// Become the primary: stop and forget replication, semi-sync roles swapped, writable last.
struct Promote {
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
};

// Accept no more writes. Returns with the final `executed` in its report. Waits at most `timeout` for running
// commits; undone by MakeWritable. With `end_clients`, client connections (not replication, not ours) are
// ended afterwards; with `clients_first` before as well, so that no long statement holds it up.
struct MakeReadOnly {
  std::chrono::milliseconds timeout{5000};
  bool end_clients = false;
  bool clients_first = false;
  // First of all stop the event scheduler, where our account may: an event whose definer passes over
  // read_only would go on writing.
  bool stop_events = false;
  // What holds it up after `timeout` is ended, and it is tried once more. Nobody else's session is.
  bool end_holders = false;
};

// A primary whose role was confirmed accepts writes again (undo of a switchover, primary restarted).
struct MakeWritable {
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
};

// The primary's role in semi-sync, whether it accepts writes or not. Under `preferred` it goes on at once
// without a replica when it has none, as after a promotion; with `replica_there` a replica that goes away is
// waited for (preferred_semi_sync_timeout in health/mysql), so that it is known that nothing was acknowledged
// alone before.
struct SetSemiSyncSource {
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
  bool replica_there = false;
};

// A source does not count as acknowledged what a replica that connects anew has already (MariaDB; MySQL since
// 8.0.31, its bug 110127), so that a commit whose acknowledgement was lost on its way waits for ever, unless
// another comes after it. This is that other: a transaction of no effect, which replicas acknowledge with all
// before it.
struct PromptReplicas {};

// Replicate from `source`, read-only, by GTID, starting from all that the server has executed.
struct Follow {
  conf::HostPort source;
  conf::SemiSync semi_sync = conf::SemiSync::preferred;
};

// Replicate from nobody any more, in whatever role. What was received and not applied is thrown away.
struct EndReplication {};

// Only a fresh report.
struct Inspect {};

// A fresh report with its `survey`.
struct Survey {};

// End these sessions, as far as a Survey would still name them for what they do: a session that has gone on
// to something else meanwhile is left alone.
struct EndOccupants {
  std::vector<std::uint64_t> threads;
};

// On a primary, what a promotion leaves for later: forget a replication that was only stopped; enable the
// scheduled events that replication had disabled here, which disables them on its replicas; with `scheduler`
// start the event scheduler. Each event is a transaction of its own, which under `required` waits for a
// replica.
struct EnableEvents {
  bool scheduler = false;
};

using Command = std::variant<StopReceiving, ResumeReceiving, StartApplier, WaitApplied, Promote, MakeReadOnly,
                             MakeWritable, SetSemiSyncSource, PromptReplicas, Follow, EndReplication, Inspect,
                             Survey, EndOccupants, EnableEvents>;
const char* name_of(const Command& command);

using CommandResult = std::expected<ServerReport, Failure>;

}  // namespace pointsman::core
