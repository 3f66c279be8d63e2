// The caretaker's way with the primary: its role is restored, and what it must not do is ended.
#include <algorithm>

#include "health/core/candidate.h"
#include "health/core/caretaker.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// Commits that wait for a replica which has them for so long are waiting in vain.
constexpr Duration prompt_after = 1s;
// A prompt takes as long as a commit.
constexpr Duration prompt_timeout = 5s;

}  // namespace

void Caretaker::care_for_primary(Server& primary, Instant now) {
  primary.trouble.clear();
  const auto mode = cluster_.config.replication.semi_sync;
  if (!primary.writable()) {
    // Only a restart and what we did ourselves is repaired: a person who sets read_only by hand means it.
    if (primary.read_only_by_us || primary.evidence.restarted_since_writable())
      return reinstate(primary, now);
    primary.trouble = "the primary is read-only, and not by us: `pointsman failover --to " + primary.name() +
                      " --force` makes it writable again";
    return;
  }
  if (end_ring(primary, now)) return;
  const auto& semi_sync = primary.report().semi_sync;
  const auto set = !semi_sync.source_enabled  ? conf::SemiSync::off
                   : semi_sync.source_insists ? conf::SemiSync::required
                                              : conf::SemiSync::preferred;
  const bool replica_there = semi_sync.source_active && semi_sync.source_clients > 0;
  if (set == mode) {
    if (mode == conf::SemiSync::preferred && replica_there && !semi_sync.source_waits_alone)
      return start(Duty::semi_sync, primary, SetSemiSyncSource{mode, true}, 10s, now);
    if (waits_in_vain(primary)) start(Duty::prompt, primary, PromptReplicas{}, prompt_timeout, now);
    return;
  }
  if (mode == conf::SemiSync::off)
    return start(Duty::semi_sync, primary, SetSemiSyncSource{mode, false}, 10s, now);
  if (!semi_sync.available) {
    primary.trouble = "the semi-sync plugin is not installed, so commits do not wait for a replica";
    return;
  }
  // Replicas first: a source that waits for replicas which do not acknowledge would stop every commit.
  bool deaf_replica = false;
  bool acknowledging_replica = false;
  for (const auto& server : cluster_.servers) {
    if (!server.up() || !cluster_.follows(server, primary) || server.settings.never_promote) continue;
    (server.report().semi_sync.replica_enabled ? acknowledging_replica : deaf_replica) = true;
  }
  if (deaf_replica && !acknowledging_replica) {
    primary.trouble = "commits do not wait yet: no replica acknowledges";
    return;
  }
  start(Duty::semi_sync, primary, SetSemiSyncSource{mode, replica_there}, 10s, now);
}

// A primary that replicates from one of its replicas gets nothing by that but what it must not have. From a
// server that is none of ours it may well do so, as one that is being moved does. True: an order was given.
bool Caretaker::end_ring(Server& primary, Instant now) {
  const ReplicaStatus* replica = primary.replica();
  // One that was just promoted may still have to forget its old source.
  if (replica == nullptr || (replica->io == ReplicaStatus::Io::no && !replica->sql)) return false;
  const Server* source = cluster_.source_of(primary);
  if (source == nullptr) {
    primary.trouble = "the primary itself replicates, from " + conf::to_string(replica->source) +
                      ", which is none of these servers: what is written there comes here";
    return false;
  }
  primary.trouble = "the primary itself replicates, from " + source->name() + ": that is being ended";
  start(Duty::end_ring, primary, EndReplication{}, 10s, now);
  return true;
}

// A replica has all that the primary has, is connected as one that acknowledges, and yet commits wait and
// nothing new is committed.
bool Caretaker::waits_in_vain(const Server& primary) {
  const ServerReport& report = primary.report();
  const bool complete = std::ranges::any_of(cluster_.servers, [&](const Server& server) {
    if (!server.up() || !cluster_.follows(server, primary) || !server.report().semi_sync.replica_active)
      return false;
    const GtidSet held = holdings(server);
    return held.contains(report.executed) &&
           (report.flavour == Flavour::mariadb || !awaiting_acknowledgement(report, held).empty());
  });
  if (report.semi_sync.source_waiting == 0 || !complete) {
    standstill_.reset();
    return false;
  }
  const Instant asked = *primary.evidence.report_from;
  if (!standstill_ || standstill_->executed != report.executed) standstill_ = {report.executed, asked};
  return asked - standstill_->since >= prompt_after;
}

// A server writes one group of commits behind the one that waits, and no more. When a replica has received
// both and the acknowledgements of both are lost, a prompt stands behind them, and its server goes on only
// when it is ended. The replica has all that anybody may have been told of.
void Caretaker::note_jam(const Errand& late) {
  Server& server = cluster_.at(late.backend);
  if (late.duty == Duty::prompt && server.settings.has_agent() && server.up() && waits_in_vain(server))
    server.evidence.jammed = true;
}

// A primary that restarted may have lost in its crash what its replicas have. They are asked first.
void Caretaker::reinstate(Server& primary, Instant now) {
  // Until its agent has heard that it is the primary, it would stop the writes again.
  const AgentEvidence& agent = primary.evidence.agent;
  const bool leases = cluster_.config.heartbeat.lease > Duration::zero();
  const bool heard = agent.word && agent.host_alive(cluster_.config.heartbeat.warntime, now);
  if (leases && heard && !agent.word->lease_held) return;
  if (primary.evidence.restarted_since_writable()) {
    const Recovery recovery = compare_after_restart(cluster_, primary);
    if (recovery.ask) {
      // Once for each answer: this is looked at with every event.
      const Instant known = cluster_.at(*recovery.ask).evidence.report_until.value_or(Instant::min());
      const auto asked = asked_after_.find(*recovery.ask);
      if (asked != asked_after_.end() && asked->second == known) return;
      asked_after_[*recovery.ask] = known;
      return outbox_.add(ProbeNow{*recovery.ask});
    }
    if (!recovery.why_not.empty()) {
      const Server& better = recovery.ahead != nullptr ? *recovery.ahead : primary;
      primary.trouble =
          recovery.why_not + ": `pointsman failover --to " + better.name() + " --force` makes it serve";
      return;
    }
  }
  start(Duty::reinstate, primary, MakeWritable{cluster_.config.replication.semi_sync}, 10s, now);
}

}  // namespace pointsman::core
