#include "health/core/topology.h"

#include <utility>

namespace pointsman::core {
namespace {

// Whoever replicates from itself by way of others gets nothing from anybody.
bool in_a_ring(const Cluster& cluster, const Server& server) {
  const Server* source = cluster.source_of(server);
  for (std::size_t hops = 0; source != nullptr && hops < cluster.servers.size(); ++hops) {
    if (source == &server) return true;
    source = cluster.source_of(*source);
  }
  return false;
}

}  // namespace

bool note_followers(Cluster& cluster) {
  bool news = false;
  for (auto& server : cluster.servers) {
    const Server* source = cluster.source_of(server);
    // While we turn it round, what it says is of before.
    if (source == nullptr || !cluster.primary || server.being_turned) continue;
    std::optional<BackendId> leader = server.leader;
    if (source->id == cluster.primary) {
      leader = source->id;
    } else if (leader != source->id) {
      leader.reset();
    }
    news |= std::exchange(server.leader, leader) != leader;
  }
  return news;
}

bool is_chained(const Cluster& cluster, const Server& server) {
  const Server* source = cluster.source_of(server);
  if (source == nullptr || !cluster.primary || server.id == cluster.primary) return false;
  if (server.being_turned) return false;  // by us
  return source->id != cluster.primary && source->id != server.leader && !in_a_ring(cluster, server);
}

std::string why_source_is_lost(const Cluster& cluster, const Server& chained) {
  const Server* source = cluster.source_of(chained);
  const Server* primary = cluster.primary_server();
  if (source == nullptr || primary == nullptr) return "";
  std::string why;
  if (calls_for_failover(source->judgement.verdict)) {
    why = std::string("is ") + to_string(source->judgement.verdict) + " (" + source->judgement.why + ")";
  } else if (source->answered() && source->replica() == nullptr) {
    why = "replicates from nobody";
  } else {
    return "";
  }
  return "replicates from " + source->name() + ", which " + why + ": `pointsman rejoin " + chained.name() +
         "` makes it follow " + primary->name();
}

conf::SemiSync semi_sync_for(const Cluster& cluster, const Server& replica) {
  return replica.settings.never_promote ? conf::SemiSync::off : cluster.config.replication.semi_sync;
}

Follow order_to_follow(const Cluster& cluster, const Server& replica, const Server& source) {
  return {source.settings.address, semi_sync_for(cluster, replica)};
}

}  // namespace pointsman::core
