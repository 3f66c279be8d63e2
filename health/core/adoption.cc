#include "health/core/adoption.h"

#include <vector>

namespace pointsman::core {
namespace {

using Kind = Adoption::Kind;

std::string names(const std::vector<const Server*>& servers) {
  std::string text;
  for (const Server* server : servers) text += (text.empty() ? "" : ", ") + server->name();
  return text;
}

std::string resolve_by(const std::string& name) { return "resolve it with: pointsman failover --to " + name + " --force"; }

// The facts that the rules below are about.
struct Scene {
  const Cluster& cluster;
  const DurableState& stored;
  std::vector<const Server*> writable;
  std::vector<const Server*> unseen;  // has not answered since we started, so what it is cannot be known
  const Server* of_record = nullptr;

  Scene(const Cluster& c, const DurableState& s) : cluster(c), stored(s) {
    for (const auto& server : c.servers) {
      if (server.maintenance) continue;
      // What was read from a server that has stopped answering says nothing about what it is now.
      if (server.writable() && !calls_for_failover(server.judgement.verdict)) writable.push_back(&server);
      if (!server.answered()) unseen.push_back(&server);
    }
    if (const auto id = c.find(s.primary)) of_record = &c.at(*id);
  }

  bool undecided() const {
    for (const Server* server : unseen) {
      if (!server->maintenance && server->is(Verdict::suspect)) return true;
    }
    return false;
  }
  bool ring(const Server& server) const {
    const Server* source = cluster.source_of(server);
    return source != nullptr && cluster.source_of(*source) == &server;
  }
  bool follows_somebody(const Server& server) const { return server.replica() != nullptr; }
  // Nothing in `server` that `other` does not have.
  bool within(const Server& server, const Server& other) const {
    return server.answered() && other.answered() && other.report().executed.contains(server.report().executed);
  }
};

Adoption ambiguous(std::string why) { return {Kind::ambiguous, std::nullopt, std::move(why)}; }

Adoption one_writable(const Scene& scene, const Server& only) {
  const Server* record = scene.of_record;
  if (record == &only) return {Kind::adopt, only.id, "it is the primary of record and accepts writes"};
  const Server* source = scene.cluster.source_of(only);
  if (scene.stored.change && record != nullptr) {
    if (source != record) return {Kind::adopt, only.id, "the interrupted " + scene.stored.change->kind + " had promoted it"};
    return {Kind::absent, record->id, "the interrupted " + scene.stored.change->kind + " had promoted nobody"};
  }
  if (record == nullptr) {
    if (source != nullptr) {
      return ambiguous(only.name() + " accepts writes although it replicates from " + source->name() +
                       ", which does not; " + resolve_by(source->name()));
    }
    if (!scene.unseen.empty()) {
      return ambiguous(only.name() + " accepts writes, but " + names(scene.unseen) +
                       " has not answered yet and no primary is on record; " + resolve_by(only.name()));
    }
    return {Kind::adopt, only.id, "it is the only server that accepts writes"};
  }
  if (source == record) return {Kind::absent, record->id, only.name() + " accepts writes, but is a replica of " + record->name()};
  if (scene.within(*record, only)) {
    return {Kind::adopt, only.id, "it accepts writes and has all that " + record->name() + ", the primary of record, has"};
  }
  return ambiguous(only.name() + " accepts writes, but the primary of record is " + record->name() + ", which " +
                   (record->answered() ? "has transactions that it lacks; " : "does not answer; ") +
                   resolve_by(only.name()));
}

Adoption none_writable(const Scene& scene) {
  const Server* record = scene.of_record;
  if (record == nullptr) {
    const Server* source = nullptr;
    for (const auto& server : scene.cluster.servers) {
      if (const Server* its = scene.cluster.source_of(server)) source = its;
    }
    return ambiguous("no server accepts writes and no primary is on record; " +
                     (source != nullptr ? source->name() + " is what the others replicate from; " + resolve_by(source->name())
                                        : resolve_by("NAME")));
  }
  if (!record->answered() || calls_for_failover(record->judgement.verdict)) {
    return {Kind::absent, record->id, "the primary of record does not answer"};
  }
  if (scene.stored.change && !scene.unseen.empty()) {
    return ambiguous("a " + scene.stored.change->kind + " was interrupted and " + names(scene.unseen) +
                     ", which may have been promoted by it, does not answer; " + resolve_by(record->name()));
  }
  if (scene.follows_somebody(*record)) {
    return ambiguous("no server accepts writes, and " + record->name() + ", the primary of record, replicates from " +
                     conf::to_string(record->replica()->source) + "; " + resolve_by(record->name()));
  }
  return {Kind::reinstate, record->id, "it is the primary of record and nobody else was promoted"};
}

Adoption several_writable(const Scene& scene) {
  const Server* chosen = scene.of_record;
  if (scene.stored.change && chosen != nullptr) {
    // Whoever accepts writes beside the old primary and no longer follows it was promoted by us.
    for (const Server* server : scene.writable) {
      if (server != chosen && scene.cluster.source_of(*server) != chosen) chosen = server;
    }
    return {Kind::adopt, chosen->id, "the interrupted " + scene.stored.change->kind + " had made it the primary"};
  }
  bool of_record_writable = false;
  for (const Server* server : scene.writable) of_record_writable |= server == chosen;
  if (!of_record_writable) {
    chosen = nullptr;
    for (const Server* server : scene.writable) {
      if (scene.cluster.source_of(*server) == nullptr) {
        if (chosen != nullptr) return ambiguous(names(scene.writable) + " all accept writes; " + resolve_by("NAME"));
        chosen = server;
      }
    }
    if (chosen == nullptr) return ambiguous(names(scene.writable) + " accept writes and replicate from each other; " + resolve_by("NAME"));
  }
  for (const Server* server : scene.writable) {
    if (server == chosen || scene.cluster.source_of(*server) == chosen || scene.within(*server, *chosen)) continue;
    return ambiguous(names(scene.writable) + " all accept writes, and " + server->name() + " has transactions that " +
                     chosen->name() + " lacks; " + resolve_by(chosen->name()));
  }
  return {Kind::adopt, chosen->id, "the others that accept writes (" + names(scene.writable) + ") have nothing of their own"};
}

}  // namespace

Adoption decide_primary(const Cluster& cluster, const DurableState& stored) {
  const Scene scene(cluster, stored);
  if (scene.undecided()) return {Kind::wait, std::nullopt, "waiting for the first answer of " + names(scene.unseen)};
  for (const auto& server : cluster.servers) {
    if (scene.ring(server)) {
      return ambiguous("replication runs in a ring (" + server.name() + " and " + cluster.source_of(server)->name() +
                       " replicate from each other); " + resolve_by("NAME"));
    }
  }
  if (scene.writable.empty()) return none_writable(scene);
  if (scene.writable.size() == 1) return one_writable(scene, *scene.writable.front());
  return several_writable(scene);
}

}  // namespace pointsman::core
