// The database hosts with their agents, the links, and the proxy's end of them: what proxy/heartbeats.cc
// does, in virtual time.
#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace pointsman::sim {

using namespace core;

namespace {

constexpr Duration restart_time = 1s;
constexpr Duration boot_time = 50ms;  // from the agent to mysqld

}  // namespace

// --- hosts
// ------------------------------------------------------------------------------------------------------

void World::build_hosts() {
  hosts_.resize(size());
  for (std::size_t i = 0; i < size(); ++i) {
    Host& host = hosts_[i];
    for (const LinkKind link : options_.links) {
      const bool serial = link == LinkKind::serial;
      const Duration takes = serial ? options_.serial_time : options_.udp_time;
      host.to_agent.emplace(link, Wire(time_, random_, takes, serial, [this, i, link](const auto& bytes) {
                              if (servers_[i].power != ModelServer::Power::off) agent(i).hear(link, bytes);
                            }));
      host.to_proxy.emplace(link, Wire(time_, random_, takes, serial,
                                       [this, i, link](const auto& bytes) { hear_bytes(i, link, bytes); }));
    }
    AgentHost there{.server = [this, i]() -> const ModelServer& { return servers_[i]; },
                    .report = [this, i] { return report(i); },
                    .make_read_only = [this, i] { return obey_agent(i); },
                    .kill =
                        [this, i] {
                          crash(i);
                          // systemd starts it again, and for it that is a crash.
                          time_.after(restart_time, [this, i, ended = now()] {
                            const bool since = servers_[i].started > ended;
                            if (!since && servers_[i].power == ModelServer::Power::stopped) start(i);
                          });
                        },
                    .send =
                        [this, i](LinkKind link, std::vector<std::uint8_t> bytes) {
                          hosts_[i].to_proxy.at(link).send(std::move(bytes));
                        },
                    .tell = [this, i](const std::string& text) { story(name(i), text); },
                    .violated = [this, i](const std::string& text) { violated(name(i) + ": " + text); }};
    AgentOptions options{.name = name(i),
                         .links = options_.links,
                         .keepalive = config_.heartbeat.keepalive,
                         .ping_timeout = config_.monitor.timeout,
                         .probe_time = options_.agent_probe_time,
                         .order_time = options_.agent_order_time,
                         .guard = {.kill_hung = options_.kill_hung, .kill_clients = options_.kill_clients}};
    host.agent = std::make_unique<Agent>(std::move(options), std::move(there), time_, random_, keys_);
    host.agent->host_boots(new_clock());
    host.agent->start();
  }
}

HostClock World::new_clock() {
  const std::int64_t ppm = options_.clock_ppm;
  return {now(), Instant() + 1s * random_.below(1'000'000),
          static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(2 * ppm + 1))) - ppm};
}

// The agent is started before mysqld, as the units of the packages have it.
void World::boot_host(std::size_t i, bool read_only) {
  story("FAULT", "the host of " + name(i) + " boots");
  changing(i);
  servers_[i].power = ModelServer::Power::stopped;
  changing(i);
  agent(i).host_boots(new_clock());
  agent(i).start();
  hosts_[i].booting = true;
  time_.after(boot_time, [this, i, read_only, boot = ++hosts_[i].boots] {
    if (boot != hosts_[i].boots) return;
    hosts_[i].booting = false;
    if (servers_[i].power == ModelServer::Power::stopped) start_server(i, read_only);
  });
}

void World::start_agent(std::size_t i) {
  if (servers_[i].power != ModelServer::Power::off) agent(i).start();
}

void World::host_dies(std::size_t i) {
  story("FAULT", "the host of " + name(i) + " dies");
  power_off(i);
}

void World::die_slowly(std::size_t i, Duration how_long) {
  if (!servers_[i].answers()) return;
  story("FAULT", name(i) + " is killed, and its end takes " + std::to_string(to_ms(how_long)) + " ms");
  changing(i);
  servers_[i].power = ModelServer::Power::frozen;
  servers_[i].dying = true;
  changing(i);
  if (has_agents()) agent(i).process_dies();
  time_.after(how_long, [this, i] {
    if (servers_[i].dying) crash(i);
  });
}

void World::cut_eth0(std::size_t i) {
  story("FAULT", "eth0 of " + name(i) + " is cut");
  changing(i);
  cut_.insert(i);
  changing(i);
  replication_cut_.insert(i);
  cut_link(i, LinkKind::udp, true, true);
}

void World::mend_eth0(std::size_t i) {
  story("FAULT", "eth0 of " + name(i) + " is mended");
  replication_cut_.erase(i);
  mend(i);
  cut_link(i, LinkKind::udp, false, false);
}

void World::cut_link(std::size_t i, LinkKind link, bool to_agent, bool to_proxy) {
  Host& host = hosts_[i];
  const auto down = host.to_agent.find(link);
  if (down == host.to_agent.end()) return;
  Wire& up = host.to_proxy.at(link);
  if (down->second.is_cut() != to_agent || up.is_cut() != to_proxy) {
    const char* what = to_agent && to_proxy ? " is cut"
                       : to_agent           ? " carries nothing to the agent"
                       : to_proxy           ? " carries nothing to the proxy"
                                            : " is whole";
    story("FAULT", std::string("the ") + to_string(link) + " link of " + name(i) + what);
  }
  down->second.cut(to_agent);
  up.cut(to_proxy);
}

void World::disturb_link(std::size_t i, LinkKind link, const WireFaults& faults) {
  const auto down = hosts_[i].to_agent.find(link);
  if (down == hosts_[i].to_agent.end()) return;
  story("FAULT", std::string("the ") + to_string(link) + " link of " + name(i) + " loses " +
                     std::to_string(faults.lost) + ", doubles " + std::to_string(faults.doubled) +
                     ", damages " + std::to_string(faults.damaged) + ", delays " +
                     std::to_string(faults.late) + " of 1000 by up to " +
                     std::to_string(to_ms(faults.latest)) + " ms");
  down->second.set(faults);
  hosts_[i].to_proxy.at(link).set(faults);
}

void World::isolate_proxy(bool serial_too) {
  isolate();
  for (std::size_t i = 0; i < size(); ++i) {
    cut_link(i, LinkKind::udp, true, true);
    if (serial_too) cut_link(i, LinkKind::serial, true, true);
  }
}

void World::mend_links() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    for (auto& [link, wire] : hosts_[i].to_agent) {
      wire.set({});
      hosts_[i].to_proxy.at(link).set({});
      cut_link(i, link, false, false);
    }
  }
}

// Its agent makes a server read-only. False: a commit holds it up.
bool World::obey_agent(std::size_t i) {
  ModelServer& server = servers_[i];
  if (options_.kill_clients) server.waiting.clear();
  if (!server.waiting.empty()) {
    hosts_[i].held_up_at = now();
    return false;
  }
  changing(i);
  server.make_read_only();
  changing(i);
  story(name(i), "did, for its agent, make_read_only");
  return true;
}

// --- the proxy
// ------------------------------------------------------------------------------------------------------

void World::meet_agents() {
  frames_waiting_.clear();
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    Host& host = hosts_[i];
    host.session = std::make_unique<LinkSession>("proxy1", name(i), FrameType::proxy, keys_,
                                                 [this] { return random_.next(); });
    host.line.reset();
    host.told.reset();
    host.heard_at = now();
  }
  if (has_agents()) daemon_after(config_.heartbeat.keepalive, [this] { keep_alive(); });
}

void World::keep_alive() {
  if (now() < stalled_until_) return daemon_after(stalled_until_ - now(), [this] { keep_alive(); });
  for (std::size_t i = 0; i < hosts_.size(); ++i) tell_agent(i);
  daemon_after(config_.heartbeat.keepalive, [this] { keep_alive(); });
}

void World::tell_agents() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i].told != core_->order_for(static_cast<BackendId>(i))) tell_agent(i);
  }
}

void World::tell_agent(std::size_t i) {
  Host& host = hosts_[i];
  const auto id = static_cast<BackendId>(i);
  const Controller::AgentOrder order = core_->order_for(id);
  if (order.epoch < host.sealed) violated("an epoch lower than before is told to the agent of " + name(i));
  if (order.epoch.value > highest_stored_epoch_)
    violated("an epoch that is not durable is told to the agent of " + name(i));
  host.sealed = order.epoch;
  if (options_.trace &&
      (!host.told || host.told->word.role != order.word.role || host.told->epoch != order.epoch)) {
    story("proxy", std::string("the agent of ") + name(i) + " is to be told " + to_string(order.word.role) +
                       " in epoch " + std::to_string(order.epoch.value));
  }
  host.told = order;
  host.told_at = now();
  for (auto& [link, wire] : host.to_agent) {
    const auto bytes = host.session->seal(order.word, order.epoch, link, now());
    core_->on_sealed(id, order.word, host.session->acknowledged_at());
    wire.send(link == LinkKind::serial ? cobs_encode(bytes) : bytes);
  }
}

void World::hear_bytes(std::size_t i, LinkKind link, const std::vector<std::uint8_t>& bytes) {
  if (!core_) return;
  if (now() < suspended_until_)
    return daemon_after(0us, [this, i, link, bytes] { hear_bytes(i, link, bytes); });
  if (now() < stalled_until_) {
    frames_waiting_.emplace_back([this, i, link, bytes] { hear_bytes(i, link, bytes); });
    return;
  }
  const auto hear = [&](std::span<const std::uint8_t> frame) { hear_frame(i, link, frame); };
  if (link == LinkKind::serial) {
    hosts_[i].line.feed(bytes, hear);
  } else {
    hear(bytes);
  }
}

void World::hear_frame(std::size_t i, LinkKind link, std::span<const std::uint8_t> frame) {
  if (!core_) return;
  Host& host = hosts_[i];
  const auto heard = host.session->open(frame, link, now());
  const bool meeting =
      heard ? heard->new_session
            : heard.error() == FrameRefusal::no_echo || heard.error() == FrameRefusal::unproven;
  if (heard) {
    host.heard_at = now();
    deliver(AgentHeard{.backend = static_cast<BackendId>(i),
                       .link = link,
                       .word = std::get<AgentWord>(heard->frame.word),
                       .epoch = heard->frame.epoch,
                       .newest = heard->newest,
                       .ack_sent_at = heard->ack_sent_at,
                       .at = now()});
  }
  if (meeting && core_ && now() - host.told_at >= config_.heartbeat.keepalive / 4) tell_agent(i);
}

// --- clients beside the proxy
// ------------------------------------------------------------------------------------------------------

void World::write_beside() {
  time_.after(options_.direct_interval, [this] { write_beside(); });
  for (std::size_t i = 0; i < size(); ++i) {
    ModelServer& server = servers_[i];
    if (!server.accepts_writes() || !server.waiting.empty()) continue;
    const Transaction transaction = server.commit();
    if (server.semi_sync_source && server.semi_sync_active) {
      server.waiting.push_back(transaction);
      server.waiting_since = now();
      direct_.insert(transaction);
    } else {
      answer_alone(i, transaction);
    }
    time_.after(options_.replication_time, [this, i] { replicate_from(i); });
  }
}

}  // namespace pointsman::sim
