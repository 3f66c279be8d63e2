// The servers among themselves, and the clients.
#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace pointsman::sim {

using namespace core;

namespace {

constexpr Duration tick = 100ms;
constexpr std::uint64_t ticks_per_heartbeat = 5;
constexpr unsigned cannot_connect = 2003;
constexpr unsigned source_lacks_transactions = 1236;

}  // namespace

std::optional<std::size_t> World::source_of(std::size_t i) const {
  const auto& replication = servers_[i].replication;
  if (!replication) return std::nullopt;
  for (std::size_t other = 0; other < size(); ++other) {
    if (servers_[other].settings.address == replication->source) return other;
  }
  return std::nullopt;
}

unsigned World::semi_sync_clients(std::size_t i) const {
  unsigned clients = 0;
  for (std::size_t other = 0; other < size(); ++other) {
    const ModelServer& replica = servers_[other];
    if (source_of(other) == i && replica.replication->connected && replica.semi_sync_replica) ++clients;
  }
  return clients;
}

ServerReport World::report(std::size_t i) const {
  return servers_[i].report(now(), semi_sync_clients(i));
}

void World::replicate_from(std::size_t source) {
  for (std::size_t i = 0; i < size(); ++i) {
    if (source_of(i) == source) replicate(i);
  }
}

void World::replicate(std::size_t i) {
  ModelServer& replica = servers_[i];
  const auto from = source_of(i);
  if (!from || !replica.answers() || !replica.replication->receiver_wanted) return;
  auto& replication = *replica.replication;
  if (replication.io_errno == source_lacks_transactions) return;
  ModelServer& source = servers_[*from];
  const bool silent = source.power == ModelServer::Power::off || source.power == ModelServer::Power::frozen ||
                      replication_cut_.contains(i) || replication_cut_.contains(*from);
  if (silent) return;  // a connection that was there stays, until a timeout much longer than any test
  if (!source.answers()) {
    replication.connected = false;
    replication.io_errno = cannot_connect;
    return;
  }
  const bool too_old = source.purged && !replica.copied && !replication.connected;
  if (too_old || replica.log.count_of(source.number) > source.log.count_of(source.number)) {
    replication.connected = false;
    replication.io_errno = source_lacks_transactions;
    return;
  }
  if (!replication.connected) ++replication.events;
  replication.connected = true;
  replication.io_errno = 0;
  replication.source_server_id = source.number;
  std::map<unsigned, std::uint64_t> have;
  for (const auto& t : replication.relay) have[t.origin] = t.number;
  for (const auto& t : source.log.order()) {
    if (replica.log.has(t) || t.number <= have[t.origin]) continue;
    replication.relay.push_back(t);
    ++replication.events;
  }
  if (replica.semi_sync_replica && source.semi_sync_source) {
    source.semi_sync_active = true;
    // The acknowledgement is on its way back while the source may die.
    if (!source.waiting.empty())
      time_.after(options_.replication_time / 2, [this, i, from = *from] { acknowledge(from, i); });
  }
  schedule_apply(i);
}

void World::acknowledge(std::size_t source, std::size_t replica) {
  ModelServer& waits = servers_[source];
  if (!waits.answers() || !servers_[replica].answers() || replication_cut_.contains(source)) return;
  const GtidSet received = servers_[replica].received();
  for (const auto& t : std::vector(waits.waiting)) {
    if (!received.contains(gtids(t.origin, t.number, t.number))) continue;
    std::erase(waits.waiting, t);
    if (direct_.erase(t) > 0) {
      acknowledged_.push_back(t);
      acknowledged_by_replica_.push_back(t);
      continue;
    }
    // Whoever waited for it is told, unless the proxy ended that session.
    if (!daemon_runs() || applied_.backend != static_cast<BackendId>(source) || !reachable(source)) continue;
    acknowledged_.push_back(t);
    acknowledged_by_replica_.push_back(t);
    traffic_[source] = now();
  }
}

void World::answer_alone(std::size_t i, const Transaction& transaction) {
  if (!goes_on_unguarded(i)) acknowledged_.push_back(transaction);
}

void World::schedule_apply(std::size_t i) {
  if (applying_[i] || !servers_[i].replication || servers_[i].replication->relay.empty()) return;
  applying_[i] = true;
  time_.after(options_.apply_time, [this, i] { apply_one(i); });
}

void World::apply_one(std::size_t i) {
  applying_[i] = false;
  ModelServer& server = servers_[i];
  if (!server.answers() || !server.replication || applying_stopped_[i]) return;
  auto& replication = *server.replication;
  if (!replication.applier_wanted || replication.sql_errno != 0 || replication.relay.empty()) return;
  server.log.add(replication.relay.front());
  replication.relay.pop_front();
  replicate_from(i);
  schedule_apply(i);
}

void World::replication_tick() {
  ++ticks_;
  for (std::size_t i = 0; i < size(); ++i) {
    ModelServer& server = servers_[i];
    replicate(i);
    schedule_apply(i);
    const auto from = source_of(i);
    const bool hears = from && server.answers() && servers_[*from].answers() &&
                       server.replication->connected && !replication_cut_.contains(i) &&
                       !replication_cut_.contains(*from);
    if (hears && ticks_ % ticks_per_heartbeat == 0) ++server.replication->events;
    // Nobody acknowledges any more: mode preferred goes on without, mode required waits.
    const bool patient =
        server.waits_alone && (server.waiting.empty() || now() - server.waiting_since < preferred_patience);
    if (server.semi_sync_mode == conf::SemiSync::preferred && semi_sync_clients(i) == 0 && !patient) {
      server.semi_sync_active = false;
      if (server.answers()) {
        for (const auto& t : std::exchange(server.waiting, {})) answer_alone(i, t);
      }
    }
  }
  time_.after(tick, [this] { replication_tick(); });
}

// One client on the service address; it sends its next transaction when the last one was acknowledged.
void World::write() {
  time_.after(options_.write_interval, [this] { write(); });
  const bool routed_somewhere = applied_.mode == RouteMode::open || applied_.mode == RouteMode::holding;
  if (!options_.writer || !daemon_runs() || !routed_somewhere || !applied_.backend) return;
  const std::size_t i = index(*applied_.backend);
  ModelServer& server = servers_[i];
  if (!responsive(i) || server.read_only || !server.waiting.empty()) return;
  if (!promoted_in_.empty() && promoted_in_.rbegin()->first > applied_.epoch.value) {
    violated("a client writes on " + name(i) + " in epoch " + std::to_string(applied_.epoch.value) +
             ", after " + name(promoted_in_.rbegin()->second) + " was promoted in epoch " +
             std::to_string(promoted_in_.rbegin()->first));
  }
  const Transaction transaction = server.commit();
  if (server.semi_sync_source && server.semi_sync_active) {
    server.waiting.push_back(transaction);
    server.waiting_since = now();
  } else {
    answer_alone(i, transaction);
    traffic_[i] = now();
  }
  time_.after(options_.replication_time, [this, i] { replicate_from(i); });
}

}  // namespace pointsman::sim
