// What the agents are told and what is made of their words: the part of the controller that speaks with them.
#include <algorithm>
#include <utility>

#include "health/core/controller.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// An agent is heard so soon after our start, or it is not there.
constexpr Duration state_lost_within = 10s;

}  // namespace

// Nothing of an epoch leaves before it is durable; until then the roles of the one before are not extended.
GrantedRole Controller::role_for(const Server& server) const {
  const bool durable = outbox_.stored_epoch() == cluster_.epoch;
  if (change_ && change_->fences(server.id)) return durable ? GrantedRole::fence : GrantedRole::none;
  if (adopting_ || !cluster_.primary) return GrantedRole::none;
  if (cluster_.primary == server.id)
    return durable || reigns_on(server.id) ? GrantedRole::primary : GrantedRole::none;
  // About to be promoted by us; its agent must not stand against it.
  if (change_ && change_->candidate() == server.id) return GrantedRole::standby;
  if (server.fenced || server.quarantined) return durable ? GrantedRole::fence : GrantedRole::none;
  return server.maintenance ? GrantedRole::none : GrantedRole::standby;
}

// A change that could not be stored (the disk is full) came to nothing: whoever was primary before it still
// is, in the epoch that nobody else was granted. Without this, a switchover that was refused for a full disk
// would end the writes as soon as the lease ran out.
bool Controller::reigns_on(BackendId primary) const {
  return !change_ && reign_ && reign_->epoch == outbox_.stored_epoch() && reign_->primary == primary;
}

Controller::AgentOrder Controller::order_for(BackendId backend) const {
  AgentOrder order{
      .word = {.role = role_for(cluster_.at(backend)), .kill_hung = cluster_.config.fence.kill_hung},
      .epoch = outbox_.stored_epoch()};
  if (order.word.role == GrantedRole::primary)
    order.word.lease_ms = static_cast<std::uint32_t>(to_ms(cluster_.config.heartbeat.lease));
  return order;
}

void Controller::on_sealed(BackendId backend, const ProxyWord& word, std::optional<Instant> acknowledged_at) {
  if (word.role != GrantedRole::primary || !acknowledged_at) return;
  cluster_.at(backend).lease.on_granted(*acknowledged_at, std::chrono::milliseconds(word.lease_ms));
}

// An agent that was told a higher epoch than ours obeys us no more. Soon after our start we have lost our
// state, and go on above; later another proxy rules, and two that outbid one another would be worse.
void Controller::learn_epoch(Server& server, Epoch epoch, Instant now) {
  server.agent_epoch = std::max(server.agent_epoch, epoch);
  if (epoch <= cluster_.epoch || change_ || now - started_ > state_lost_within) return;
  note("epoch", &server,
       "the agent of " + server.name() + " was told epoch " + std::to_string(epoch.value) +
           " before, and we begin with " + std::to_string(cluster_.epoch.value) +
           ": the state was lost; we go on above");
  cluster_.epoch = Epoch{epoch.value + 1};
  persist();
}

void Controller::watch_links(Instant now) {
  const auto& times = cluster_.config.heartbeat;
  links_due_ = Instant::max();
  for (auto& server : cluster_.servers) {
    const AgentEvidence& agent = server.evidence.agent;
    for (const LinkKind kind : {LinkKind::udp, LinkKind::serial}) {
      const bool configured =
          kind == LinkKind::udp ? !server.settings.udp.empty() : server.settings.serial.has_value();
      const LinkState state = link_state(agent, kind, configured, times.warntime, times.deadtime, now);
      const LinkState before = std::exchange(server.links[index(kind)], state);
      if (state == LinkState::alive || state == LinkState::late) {
        const Duration next = state == LinkState::alive ? times.warntime : times.deadtime;
        links_due_ = std::min(links_due_, *agent.heard[index(kind)] + next);
      }
      // Before the first frame a link is neither lost nor found again.
      const bool told = agent.heard[index(kind)] && before != LinkState::off;
      if (state == LinkState::dead && before != LinkState::dead && told)
        note("link", &server,
             std::string("the ") + to_string(kind) + " link to " + server.name() + " is dead: silent for " +
                 std::to_string(to_ms(times.deadtime)) + " ms");
      if (state == LinkState::alive && before == LinkState::dead)
        note("link", &server,
             std::string("the ") + to_string(kind) + " link to " + server.name() + " is alive");
    }
    const bool silent = !agent.host_alive(times.deadtime, now) && now - started_ > times.deadtime;
    // It is not guarded any more, also for whoever starts after us.
    if (silent && server.leased && server.up() && cluster_.primary == server.id && !change_) {
      server.leased = false;
      persist();
    }
  }
}

void Controller::add_agent_warnings(const Server& server, std::vector<std::string>& list) const {
  const AgentEvidence& agent = server.evidence.agent;
  const auto dead = [&](LinkKind kind) { return server.links[index(kind)] == LinkState::dead; };
  const auto working = [&](LinkKind kind) {
    return server.links[index(kind)] == LinkState::alive || server.links[index(kind)] == LinkState::late;
  };
  const bool any = working(LinkKind::udp) || working(LinkKind::serial);
  if (!any) {
    const std::string since = agent.last_heard() ? "is silent" : "was never heard";
    list.push_back("the agent of " + server.name() + " " + since + " on any link" +
                   (server.up()
                        ? ": should " + server.name() + " die now, that could not be told from a cut cable"
                        : ""));
    return;
  }
  for (const LinkKind kind : {LinkKind::udp, LinkKind::serial}) {
    if (!dead(kind)) continue;
    list.push_back(std::string("the ") + to_string(kind) + " link to " + server.name() +
                   (agent.heard[index(kind)] ? " is silent" : " was never heard") +
                   "; the other one is alive, and is the last one");
  }
  if (server.agent_epoch > cluster_.epoch) {
    list.push_back("the agent of " + server.name() + " obeys epoch " +
                   std::to_string(server.agent_epoch.value) + ", ours is " +
                   std::to_string(cluster_.epoch.value) + ": another proxy rules there; stop one of the two");
  }
  if (!agent.word) return;
  if (server.up() &&
      (agent.word->mysqld == MysqldState::absent || agent.word->mysqld == MysqldState::unknown))
    list.push_back("the agent of " + server.name() +
                   " does not see the mysqld that answers us: is `mysql.socket` of its agent.toml right?");
  if (agent.word->fence_failed)
    list.push_back("the agent of " + server.name() + " was told to make it read-only and could not");
}

}  // namespace pointsman::core
