#pragma once

#include <string>

#include "health/core/cluster.h"
#include "health/core/command.h"

// Who replicates from whom by an operator's wish, and how a server is made to follow another.
namespace pointsman::core {

// Notes of each replica whether it follows the primary. True: there is news, to be stored: whoever starts
// after us must tell a server that was left behind at a change of primary from one that an operator put
// there.
bool note_followers(Cluster& cluster);

// It replicates from another server of ours that is not the primary, because an operator wanted it so.
// A server that merely stayed with the old primary is not chained, nor is one whose replication runs in a
// ring.
bool is_chained(const Cluster& cluster, const Server& server);
// Such a one, and it is to be left where it is.
inline bool keeps_chain(const Cluster& cluster, const Server& server) {
  return cluster.config.replication.chained == conf::Chained::keep && is_chained(cluster, server);
}
// What is wrong with the source of a chained server, a sentence that says what helps; empty: nothing.
std::string why_source_is_lost(const Cluster& cluster, const Server& chained);

// What a replica has to do with semi-sync. One that is never promoted acknowledges nothing: what was
// acknowledged is to be on a server that can take over.
conf::SemiSync semi_sync_for(const Cluster& cluster, const Server& replica);
Follow order_to_follow(const Cluster& cluster, const Server& replica, const Server& source);

}  // namespace pointsman::core
