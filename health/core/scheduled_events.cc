// The caretaker's part in scheduled events: after a change of primary, whatever became of it, whoever is
// primary runs them. That they are due is durable from before the first server is touched.
#include "health/core/caretaker.h"

namespace pointsman::core {

using namespace std::chrono_literals;

void Caretaker::care_for_events(Server& primary, Instant now) {
  if (!cluster_.events_due || !primary.writable()) return;
  const auto& semi_sync = primary.report().semi_sync;
  // Each of them is a commit, which would wait until a replica is there.
  const bool would_wait = cluster_.config.replication.semi_sync == conf::SemiSync::required &&
                          semi_sync.source_enabled && semi_sync.source_clients == 0;
  if (would_wait) return;
  start(Duty::events, primary, EnableEvents{cluster_.events_due->scheduler}, 30s, now);
}

void Caretaker::finished_events(const CommandFinished& event) {
  // What the account may not do will not work the next time either; the history says so.
  if (!event.result && event.result.error().kind != FailureKind::denied) return;
  cluster_.events_due.reset();
  dirty_ = true;
}

}  // namespace pointsman::core
