// What leases and fences promise, checked against what the servers and their agents really are.
//
// At most one server accepts writes at any moment, whoever writes. Of several, those are passed over for
// which nobody can promise anything (excuse()):
//  * nobody looks after it: its agent does not run, or is stalled, or has run again for less than the
//    grace of a restarted agent;
//  * it has just come to itself (it was frozen when its right to write ended): a client's statement in its
//    socket is as fast as the agent's order;
//  * it was started writable although it should start read-only: while its lease lasts, or before an agent
//    ran there, nobody stops that;
//  * a commit there waits for a replica, and neither clients may be ended (kill_clients) nor the server be
//    killed (kill_hung): it cannot be made read-only, and nobody else commits meanwhile.
// What a server that was replaced answers without a replica while nobody looks after it is not among what
// must be kept (goes_on_unguarded()). For being made read-only or killed when a lease ends nothing is
// excused: LeaseBound must leave that time.
#include <algorithm>

#include "tests/sim/world.h"

namespace pointsman::sim {

using namespace core;

namespace {

// An agent whose order failed gives it again after 100 ms.
constexpr Duration retry_time = 250ms;
constexpr Duration notice = 50ms;
}  // namespace

// What a healthy agent takes at most until its server accepts no more writes. A figure of its own:
// LeaseBound::reaction is what is checked here.
bool World::may_kill() const {
  return options_.kill_hung && config_.fence.kill_hung;
}
Duration World::reaction() const {
  return std::clamp<Duration>(config_.heartbeat.lease / 4, 100ms, 300ms);
}

// It was replaced, and goes on for whoever reaches it, because its agent died or stalled just when it was cut
// off. What it answers now without a replica is promised by nobody.
bool World::goes_on_unguarded(std::size_t i) const {
  if (!has_agents() || config_.heartbeat.lease == 0s) return false;
  const auto& known = core_ ? core_->cluster().primary : std::nullopt;
  const std::string of_record = known ? name(index(*known)) : stored_.primary;
  return !of_record.empty() && of_record != name(i) && hosts_[i].agent->guards_since() == Instant::max();
}

std::optional<std::string> World::excuse(std::size_t i) const {
  const Host& host = hosts_[i];
  const Agent& agent = *host.agent;
  const Instant guarded = agent.guards_since();
  if (guarded == Instant::max()) return "nobody guards it";
  if (now() < guarded + reaction()) return "nobody guarded it until now";
  if (now() < host.awake_since + reaction()) return "it has just come to itself";
  const bool in_lease = agent.right_ended() == Instant::max() || now() < agent.right_ended() + reaction();
  if (host.booted_writable && (in_lease || host.booted_alone)) return "it was started writable";
  if (!may_kill() && host.held_up_at && now() - *host.held_up_at < retry_time) return "a commit held it up";
  return std::nullopt;
}

void World::check_writers() {
  if (!has_agents() || config_.heartbeat.lease == 0s) return;
  const auto writers = std::ranges::count_if(servers_, &ModelServer::accepts_writes);
  if (writers < 2) {
    last_writers_.clear();
    return;
  }
  std::string names;
  unsigned guilty = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    if (!servers_[i].accepts_writes() || excuse(i)) continue;
    ++guilty;
    names += (names.empty() ? "" : " and ") + name(i);
  }
  if (guilty < 2 || last_writers_ == names) return;
  last_writers_ = names;
  violated("two servers accept writes: " + names);
}

// At the moment when another one is promoted in a failover.
void World::check_fenced(std::size_t old) {
  if (!has_agents() || config_.heartbeat.lease == 0s) return;
  if (!servers_[old].may_accept_writes()) return;
  const Host& host = hosts_[old];
  // That the agent had fallen silent long before its server did must have been seen.
  // Of a server whose end was seen no agent is needed; another run of it, writable against the rule, may have
  // begun since.
  const bool guard_was_gone = host.answered_at > host.heard_at + config_.heartbeat.warntime + notice;
  const bool other_run =
      verdict(old) == Verdict::crashed && host.booted_writable && servers_[old].started > host.answered_at;
  if (guard_was_gone && !other_run && host.agent->guards_since() == Instant::max())
    return violated("another server is promoted while nobody guards " + name(old) + ", which was known");
  if (excuse(old)) return;
  const Instant ended = agent(old).right_ended();
  // One that stands still is made read-only by its agent when it comes to itself, where it may not be killed.
  const bool over = ended != Instant::max() && now() >= ended + reaction();
  if (over && !may_kill() && servers_[old].power == ModelServer::Power::frozen) return;
  std::string lease = over                      ? "its lease is over"
                      : ended == Instant::max() ? "it has a role without end"
                      : now() < ended
                          ? "its lease lasts another " + std::to_string(to_ms(ended - now())) + " ms"
                          : "its lease ended " + std::to_string(to_ms(now() - ended)) + " ms ago";
  violated("another server is promoted while " + name(old) + " can accept writes: " + lease);
}

}  // namespace pointsman::sim
