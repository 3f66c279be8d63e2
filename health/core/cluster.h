#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/config.h"
#include "health/core/durable_state.h"
#include "health/core/evidence.h"
#include "health/core/ids.h"
#include "health/core/lease.h"
#include "health/core/verdict.h"

// The decision core's picture of the servers. Mutable only inside health/core, read by status.
namespace pointsman::core {

enum class Role { primary, replica, fenced, quarantined, maintenance, unknown };
const char* to_string(Role role);

struct Server {
  Server(BackendId its_id, conf::Backend its_settings, Instant now)
      : id(its_id), settings(std::move(its_settings)), evidence(now) {}

  BackendId id;
  conf::Backend settings;
  Evidence evidence;
  Judgement judgement;
  Verdict noted = Verdict::up;  // the last one that went into the history

  bool maintenance = false;
  bool fenced = false;  // was the primary, has not been taken back yet
  // What we did to it and have not undone. Whatever comes of the command itself: an order that was sent may
  // be carried out late.
  bool read_only_by_us = false;
  bool receiver_stopped_by_us = false;
  bool being_turned = false;  // an order to follow was given and has not ended
  bool heir = false;  // its promotion was begun and did not end well: may replicate from nobody, had all that
                      // was received
  unsigned failed_catch_ups = 0;    // in this outage: chosen, but did not apply what it had received
  std::optional<BackendId> leader;  // the primary that it was last seen to replicate from
  GtidSet errant;                   // transactions that the primary does not have, as of the last audit
  struct Claim {                    // what it had at some moment, waiting for a later word of the primary
    GtidSet executed;
    Instant taken;
  };
  std::optional<Claim> claim;
  std::optional<Promise> promise;        // made by it as primary; until it is a replica again
  std::optional<Instant> reign_started;  // when the mysqld was started that made it
  // A replica throws away what it has received and not applied, acknowledged or not, when it is started and
  // when it is told to follow anew, and fetches it again from its source, if that is still there.
  std::optional<Instant> turned_at;  // when such an order of ours had ended
  std::optional<Instant> whole_at;   // then it had all that its source had had at some moment since
  std::optional<TakingBack> taking_back;
  bool quarantined = false;  // has such, and serves nobody until an operator decides
  std::string trouble;       // what keeps it from being a good replica, a sentence; empty: nothing

  LeaseBound lease;                           // granted to its agent
  bool leased = false;                        // its agent's last word on it: it keeps one
  std::array<LinkState, link_kinds> links{};  // of the agent, as of the last step
  Epoch agent_epoch;                          // the highest that the agent was ever told, by whomever

  const std::string& name() const { return settings.name; }
  bool is(Verdict verdict) const { return judgement.verdict == verdict; }
  bool up() const { return is(Verdict::up); }
  bool answered() const { return evidence.answered(); }
  const ServerReport& report() const { return evidence.report; }
  bool writable() const { return answered() && !report().read_only; }
  // When it last threw away what it had received, at the latest.
  std::optional<Instant> forgot_at() const {
    return turned_at ? std::max(turned_at, evidence.run_started()) : evidence.run_started();
  }
  bool whole() const { return !being_turned && whole_at && whole_at >= forgot_at(); }
  void has_turned(Instant now) {
    being_turned = false;
    turned_at = now;
  }
  const ReplicaStatus* replica() const {
    return answered() && report().replica ? &*report().replica : nullptr;
  }
};

struct Cluster {
  Cluster(conf::Config settings, Instant now);

  conf::Config config;
  std::vector<Server> servers;  // index == BackendId, order of the configuration

  Epoch epoch;
  std::optional<BackendId> primary;  // of record: who has the role, alive or not
  bool automatic = true;
  bool paused = false;
  std::optional<EventsDue> events_due;

  Server& at(BackendId id) { return servers[index(id)]; }
  const Server& at(BackendId id) const { return servers[index(id)]; }
  std::optional<BackendId> find(std::string_view name) const;
  Server* primary_server() { return primary ? &at(*primary) : nullptr; }
  const Server* primary_server() const { return primary ? &at(*primary) : nullptr; }

  // The backend that this one replicates from: by the server id that the receiver was told, else by address.
  const Server* source_of(const Server& server) const;
  bool follows(const Server& replica, const Server& source) const { return source_of(replica) == &source; }
  Role role_of(const Server& server) const;
  // The server has an agent that kept its lease until about when we last had contact with either: so whatever
  // has become of them, the server accepts no writes when the lease is over.
  bool guarded(const Server& server) const;
  JudgeTimes judge_times() const;
};

// What the durable state says of single servers.
void remember_servers(DurableState& durable, const Cluster& cluster);

// What of `held` the primary has written and does not count yet: MySQL counts a transaction as executed when
// it has been acknowledged, so that a replica is ahead of a primary whose commits wait. Empty on MariaDB, and
// when none waits.
GtidSet awaiting_acknowledgement(const ServerReport& primary, const GtidSet& held);

// Compares what `server` has with what `primary` has, into server.errant. False while nothing can be said,
// because what the server reported is newer than what the primary did, so that what looks extra may just have
// been replicated.
bool audit(Server& server, const Server& primary);

}  // namespace pointsman::core
