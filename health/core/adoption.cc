#include "health/core/adoption.h"

#include <algorithm>
#include <vector>

namespace pointsman::core {
namespace {

using Kind = Adoption::Kind;

std::string names(const std::vector<const Server*>& servers) {
  std::string text;
  for (const Server* server : servers) text += (text.empty() ? "" : ", ") + server->name();
  return text;
}

std::string resolve_by(const std::string& name) {
  return "resolve it with: pointsman failover --to " + name + " --force";
}

// The facts that the rules below are about.
struct Scene {
  const Cluster& cluster;
  const DurableState& stored;
  const AdoptionRules& rules;
  std::vector<const Server*> writable;
  std::vector<const Server*> unseen;  // has not answered in time, so what it is cannot be known
  const Server* of_record = nullptr;
  const Server* heir = nullptr;  // whom an interrupted change was about to promote

  Scene(const Cluster& c, const DurableState& s, const AdoptionRules& r) : cluster(c), stored(s), rules(r) {
    for (const auto& server : c.servers) {
      if (server.maintenance || server.taking_back) continue;
      if (!seen(server)) unseen.push_back(&server);
      // What was read from a server that has stopped answering says nothing about what it is now.
      if (seen(server) && server.writable() && !calls_for_failover(server.judgement.verdict))
        writable.push_back(&server);
    }
    if (const auto id = c.find(s.primary)) of_record = &c.at(*id);
    if (const auto id = c.find(s.change ? s.change->to : "")) heir = &c.at(*id);
  }

  bool seen(const Server& server) const {
    return server.answered() && *server.evidence.report_from >= rules.since;
  }
  bool undecided() const {
    for (const Server* server : unseen) {
      if (server->is(Verdict::suspect) || server->up()) return true;
    }
    return false;
  }
  // Nobody else can have been promoted since, so that nobody else need be asked.
  bool serves_still() const {
    return of_record != nullptr && rules.served == of_record->id && !stored.change && writable.size() == 1 &&
           writable.front() == of_record;
  }
  bool follows_somebody(const Server& server) const { return server.replica() != nullptr; }
  // A promotion stops both threads first, kills the applier where it must, and what it stopped may be
  // forgotten later than writes are allowed (Dialect::loosen_applier, forgetting_is_slow in health/mysql).
  bool stopped(const Server& server) const {
    const ReplicaStatus* replica = server.replica();
    return replica != nullptr && replica->io == ReplicaStatus::Io::no && !replica->sql &&
           (replica->sql_errno == 0 || replica->killed_midway());
  }
  // One of the two that does not run is what a promotion left behind.
  bool ring(const Server& server) const {
    const Server* source = cluster.source_of(server);
    if (!seen(server) || source == nullptr || !seen(*source)) return false;
    return cluster.source_of(*source) == &server && !stopped(server) && !stopped(*source);
  }
  // By the interrupted change. An earlier primary that returns writable follows nobody either, so the mark's
  // word counts.
  bool may_be_promoted(const Server& server) const {
    if (&server == of_record) return false;
    if (follows_record(server)) return heir == &server && stopped(server);
    return heir == nullptr || heir == &server;
  }
  bool follows_record(const Server& server) const {
    return of_record != nullptr && cluster.source_of(server) == of_record;
  }
  // Nothing in `server` that `other` does not have.
  bool within(const Server& server, const Server& other) const {
    return seen(server) && seen(other) && other.report().executed.contains(server.report().executed);
  }
  // Who cannot be asked, and may serve as the new primary for all we know.
  std::vector<const Server*> perhaps_promoted() const {
    if (!stored.change || rules.nobody_was_routed) return {};
    std::vector<const Server*> list;
    for (const auto& server : cluster.servers) {
      const bool asked = seen(server) && !(server.writable() && calls_for_failover(server.judgement.verdict));
      if (&server == of_record || server.maintenance || asked) continue;
      if (heir == nullptr || heir == &server) list.push_back(&server);
    }
    return list;
  }
  // Has answered, and has what `server` lacks. A quarantined server is known to, and was passed over already.
  // With `all`: has all else as well, so that it is not merely an earlier primary that has transactions of
  // its own.
  std::vector<const Server*> ahead_of(const Server& server, bool all) const {
    std::vector<const Server*> list;
    for (const auto& other : cluster.servers) {
      if (other.id == server.id || other.maintenance || other.quarantined || !seen(other)) continue;
      if (!within(other, server) && (!all || within(server, other))) list.push_back(&other);
    }
    return list;
  }
};

Adoption ambiguous(std::string why) {
  return {Kind::ambiguous, std::nullopt, std::move(why)};
}

Adoption interrupted(const Scene& scene, const std::vector<const Server*>& perhaps, const Server& otherwise) {
  return ambiguous("a " + scene.stored.change->kind + " was interrupted and " + names(perhaps) +
                   ", which may have been promoted by it, does not answer; " + resolve_by(otherwise.name()));
}

Adoption one_writable(const Scene& scene, const Server& only) {
  const Server* record = scene.of_record;
  const auto perhaps = scene.perhaps_promoted();
  if (record == &only && !perhaps.empty()) return interrupted(scene, perhaps, only);
  if (record == &only) return {Kind::adopt, only.id, "it is the primary of record and accepts writes"};
  const Server* source = scene.cluster.source_of(only);
  if (scene.stored.change && record != nullptr) {
    if (scene.heir != nullptr && !perhaps.empty()) return interrupted(scene, perhaps, only);
    // A planned change promotes only who has everything.
    const bool undone =
        scene.stored.change->kind == "switchover" && scene.seen(*record) && !scene.within(*record, only);
    const bool promoted = scene.may_be_promoted(only);
    if (promoted && undone) {
      return ambiguous(only.name() + " accepts writes, but " + record->name() +
                       " has transactions that it lacks; " + resolve_by(only.name()));
    }
    if (promoted)
      return {Kind::adopt, only.id, "the interrupted " + scene.stored.change->kind + " had promoted it"};
    return {Kind::absent, record->id,
            "the interrupted " + scene.stored.change->kind + " had promoted nobody"};
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
  if (source == record)
    return {Kind::absent, record->id, only.name() + " accepts writes, but is a replica of " + record->name()};
  if (scene.within(*record, only)) {
    return {Kind::adopt, only.id,
            "it accepts writes and has all that " + record->name() + ", the primary of record, has"};
  }
  return ambiguous(only.name() + " accepts writes, but the primary of record is " + record->name() +
                   ", which " +
                   (scene.seen(*record) ? "has transactions that it lacks; " : "does not answer; ") +
                   resolve_by(only.name()));
}

Adoption none_writable(const Scene& scene) {
  const Server* record = scene.of_record;
  if (record == nullptr) {
    const Server* source = nullptr;
    for (const auto& server : scene.cluster.servers) {
      const Server* its = scene.cluster.source_of(server);
      // At the head of a chain is the one that replicates from nobody.
      if (its != nullptr && (source == nullptr || !scene.follows_somebody(*its))) source = its;
    }
    return ambiguous("no server accepts writes and no primary is on record; " +
                     (source != nullptr ? source->name() + " is what the others replicate from; " +
                                              resolve_by(source->name())
                                        : resolve_by("NAME")));
  }
  const auto perhaps = scene.perhaps_promoted();
  if (!perhaps.empty()) return interrupted(scene, perhaps, *record);
  if (!scene.seen(*record) || calls_for_failover(record->judgement.verdict)) {
    return {Kind::absent, record->id, "the primary of record does not answer"};
  }
  if (scene.follows_somebody(*record)) {
    const Server* source = scene.cluster.source_of(*record);
    const bool free = source != nullptr && scene.seen(*source) && !scene.follows_somebody(*source);
    if (free && scene.heir == source) {
      return {Kind::reinstate, source->id,
              "the interrupted " + scene.stored.change->kind + " had promoted it"};
    }
    return ambiguous("no server accepts writes, and " + record->name() +
                     ", the primary of record, replicates from " +
                     conf::to_string(record->replica()->source) + "; " +
                     resolve_by(free ? source->name() : record->name()));
  }
  const auto ahead = scene.ahead_of(*record, !scene.stored.change);
  if (ahead.empty())
    return {Kind::reinstate, record->id, "it is the primary of record and nobody else was promoted"};
  // Its own replicas have all that it has and more: the controller lets the best of them take over.
  const bool its_replicas = std::ranges::all_of(ahead, [&](const Server* other) {
    return scene.cluster.source_of(*other) == record && scene.within(*record, *other);
  });
  if (its_replicas) {
    return {Kind::absent, record->id,
            "it is the primary of record, but " + names(ahead) +
                (ahead.size() == 1 ? ", its replica, has more" : ", its replicas, have more")};
  }
  // The one that has most, where that can be said.
  const Server& other = **std::ranges::max_element(
      ahead, [&](const Server* a, const Server* b) { return scene.within(*a, *b) && !scene.within(*b, *a); });
  const bool was_promoted = scene.stored.change && ahead.size() == 1 && !scene.follows_somebody(other) &&
                            scene.within(*record, other);
  if (was_promoted)
    return {Kind::reinstate, other.id, "the interrupted " + scene.stored.change->kind + " had promoted it"};
  return ambiguous("no server accepts writes, and " + names(ahead) + (ahead.size() == 1 ? " has" : " have") +
                   " transactions that " + record->name() + ", the primary of record, lacks; " +
                   resolve_by(scene.within(*record, other) ? other.name() : record->name()));
}

// Whoever accepts writes beside the old primary and no longer follows it was promoted by us.
Adoption after_interruption(const Scene& scene, const Server& old) {
  const Server* promoted = nullptr;
  for (const Server* server : scene.writable) {
    if (scene.may_be_promoted(*server)) promoted = server;
  }
  if (promoted == nullptr) {
    const bool serves = old.writable() && scene.seen(old) && !calls_for_failover(old.judgement.verdict);
    return {serves ? Kind::adopt : Kind::absent, old.id,
            "the interrupted " + scene.stored.change->kind + " had promoted nobody"};
  }
  // A planned change promotes only who has everything. So an old primary with more has served again since:
  // the change was undone.
  const bool undone =
      scene.stored.change->kind == "switchover" && scene.seen(old) && !scene.within(old, *promoted);
  if (!undone)
    return {Kind::adopt, promoted->id,
            "the interrupted " + scene.stored.change->kind + " had made it the primary"};
  if (scene.within(*promoted, old))
    return {Kind::adopt, old.id, "the interrupted switchover had been undone"};
  return ambiguous(names(scene.writable) +
                   " all accept writes, and each has transactions that the other lacks; " +
                   resolve_by("NAME"));
}

Adoption several_writable(const Scene& scene) {
  const Server* chosen = scene.of_record;
  if (scene.stored.change && chosen != nullptr) {
    return after_interruption(scene, *chosen);
  }
  bool of_record_writable = false;
  for (const Server* server : scene.writable) of_record_writable |= server == chosen;
  const bool all_follow_record =
      scene.of_record != nullptr && std::ranges::all_of(scene.writable, [&](const Server* server) {
        return scene.cluster.source_of(*server) == scene.of_record;
      });
  if (all_follow_record) {
    return {Kind::absent, scene.of_record->id,
            names(scene.writable) + " accept writes, but are replicas of " + scene.of_record->name()};
  }
  if (chosen == nullptr || !of_record_writable) {
    chosen = nullptr;
    for (const Server* server : scene.writable) {
      if (scene.cluster.source_of(*server) == nullptr) {
        if (chosen != nullptr)
          return ambiguous(names(scene.writable) + " all accept writes; " + resolve_by("NAME"));
        chosen = server;
      }
    }
    if (chosen == nullptr)
      return ambiguous(names(scene.writable) + " accept writes, and each replicates from another server; " +
                       resolve_by("NAME"));
  }
  for (const Server* server : scene.writable) {
    if (server == chosen || scene.cluster.source_of(*server) == chosen || scene.within(*server, *chosen))
      continue;
    return ambiguous(names(scene.writable) + " all accept writes, and " + server->name() +
                     " has transactions that " + chosen->name() + " lacks; " + resolve_by(chosen->name()));
  }
  return {Kind::adopt, chosen->id,
          "the others that accept writes (" + names(scene.writable) + ") have nothing of their own"};
}

}  // namespace

Adoption decide_primary(const Cluster& cluster, const DurableState& stored, const AdoptionRules& rules) {
  const Scene scene(cluster, stored, rules);
  if (scene.serves_still())
    return {Kind::adopt, scene.of_record->id, "it served when the former process handed over"};
  if (scene.undecided())
    return {Kind::wait, std::nullopt, "waiting for the first answer of " + names(scene.unseen)};
  for (const auto& server : cluster.servers) {
    if (scene.ring(server)) {
      return ambiguous("replication runs in a ring (" + server.name() + " and " +
                       cluster.source_of(server)->name() + " replicate from each other); " +
                       resolve_by("NAME"));
    }
  }
  if (scene.writable.empty()) return none_writable(scene);
  if (scene.writable.size() == 1) return one_writable(scene, *scene.writable.front());
  return several_writable(scene);
}

}  // namespace pointsman::core
