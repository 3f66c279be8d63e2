#include "health/setup/decision.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "health/mysql/concat.h"
#include "health/mysql/report_parts.h"

namespace pointsman::setup {
namespace {

using core::Flavour;
using mysql::concat;
using Io = core::ReplicaStatus::Io;

bool runs(const core::ReplicaStatus& replica) {
  return replica.io == Io::yes && replica.sql && replica.by_gtid;
}

// Nothing but what `other` has as well, by GTIDs that cannot be the same by chance. MariaDB's can: two
// servers of the same server_id, as they come from the package, count alike. There only a mark tells a copy.
bool is_part_of(const Survey& server, const Survey& other) {
  if (server.report.flavour == Flavour::mariadb && !(server.mark && server.mark->whole)) return false;
  return !server.report.executed.empty() && other.report.executed.contains(server.report.executed);
}

class Decider {
 public:
  Decider(const std::vector<Survey>& servers, const Wishes& wishes) : servers_(servers), wishes_(wishes) {}

  std::expected<Decision, std::vector<std::string>> run();

 private:
  std::optional<std::size_t> find(const std::string& name) const;
  std::optional<std::pair<std::size_t, std::string>> choose_primary();
  std::optional<std::pair<std::size_t, std::string>> by_data();
  void check_primary(const Survey& primary);
  std::optional<Assignment> assign(std::size_t at, const Survey& primary);
  std::optional<Assignment> assign_replica(std::size_t at, const Survey& primary, bool overwrite);
  void refuse(std::string text) { refused_.push_back(std::move(text)); }
  bool may_overwrite(const Survey& server) const { return wishes_.overwrite.contains(server.name); }
  // Data that would be missed.
  bool has_own_data(const Survey& server) const { return server.contents.has_data() && !server.unfinished(); }

  const std::vector<Survey>& servers_;
  const Wishes& wishes_;
  std::vector<std::string> refused_;
};

std::optional<std::size_t> Decider::find(const std::string& name) const {
  const auto found = std::ranges::find(servers_, name, &Survey::name);
  if (found == servers_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - servers_.begin());
}

std::optional<std::pair<std::size_t, std::string>> Decider::by_data() {
  std::vector<std::size_t> full;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (has_own_data(servers_[i]) && !may_overwrite(servers_[i])) full.push_back(i);
  }
  if (full.empty()) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (!may_overwrite(servers_[i]))
        return std::pair(i, std::string("no server has data, and it is the first one"));
    }
    refuse("--overwrite names every server; one has to be the primary");
    return std::nullopt;
  }
  // The one that has everything that the others have.
  for (const auto candidate : full) {
    const bool all = std::ranges::all_of(full, [&](std::size_t other) {
      return other == candidate || is_part_of(servers_[other], servers_[candidate]);
    });
    if (all) {
      return std::pair(candidate, std::string(full.size() == 1 ? "it is the one that has data"
                                                               : "it has all that the others have"));
    }
  }
  std::string text = "several servers have data, and none has all of it:";
  for (const auto i : full) text += concat("\n  ", servers_[i].name, ": ", servers_[i].contents.summary());
  std::string options;
  for (const auto i : full) {
    if (i != full.front()) options += " --overwrite " + servers_[i].name;
  }
  refuse(concat(text, "\nChoose whose data stay, for instance ", servers_[full.front()].name,
                "'s, and what is thrown away: --primary ", servers_[full.front()].name, options));
  return std::nullopt;
}

std::optional<std::pair<std::size_t, std::string>> Decider::choose_primary() {
  std::optional<std::size_t> daemons;
  if (!wishes_.daemons_primary.empty()) daemons = find(wishes_.daemons_primary);
  if (!wishes_.primary.empty()) {
    const auto named = find(wishes_.primary);
    if (!named) {
      refuse(concat("no server ", wishes_.primary, " is in the configuration"));
      return std::nullopt;
    }
    if (daemons && *daemons != *named) {
      refuse(concat("the daemon's primary is ", wishes_.daemons_primary, ": pointsman switchover --to ",
                    wishes_.primary));
      return std::nullopt;
    }
    return std::pair(*named, std::string("as told"));
  }
  if (daemons) return std::pair(*daemons, std::string("the daemon's clients are on it"));
  std::set<std::size_t> sources;
  for (const auto& server : servers_) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (&server != &servers_[i] && replicates_from(server, servers_[i]) && !may_overwrite(server))
        sources.insert(i);
    }
  }
  // A source that follows another one is in the middle of a chain.
  std::erase_if(sources, [&](std::size_t i) {
    return std::ranges::any_of(
        sources, [&](std::size_t o) { return o != i && replicates_from(servers_[i], servers_[o]); });
  });
  if (sources.size() == 1)
    return std::pair(*sources.begin(), std::string("another server replicates from it"));
  if (sources.size() > 1) {
    std::string names;
    for (const auto i : sources) names += (names.empty() ? "" : " and ") + servers_[i].name;
    refuse(concat("there are replicas of ", names, "; say which of them stays: --primary NAME"));
    return std::nullopt;
  }
  return by_data();
}

void Decider::check_primary(const Survey& primary) {
  if (may_overwrite(primary))
    refuse(concat(primary.name, " would be the primary; its data cannot be overwritten"));
  if (primary.unfinished()) {
    refuse(concat(primary.name, " would be the primary, but it holds an unfinished copy of ",
                  primary.mark ? primary.mark->donor : primary.cloning_from,
                  "; name another one: --primary NAME"));
  }
  if (!primary.report.replica) return;
  const auto& source = primary.report.replica->source;
  refuse(concat(primary.name, " would be the primary, but it replicates from ", conf::to_string(source),
                "; name that one with --primary, or end it there first: ",
                primary.report.flavour == Flavour::mariadb ? "STOP SLAVE; RESET SLAVE ALL"
                                                           : "STOP REPLICA; RESET REPLICA ALL"));
}

std::optional<Assignment> Decider::assign_replica(std::size_t at, const Survey& primary, bool overwrite) {
  const Survey& server = servers_[at];
  const auto& replica = *server.report.replica;
  const std::string remedy = concat("; a fresh copy would mend it: --overwrite ", server.name);
  if (server.report.sources > 1) {
    refuse(
        concat(server.name, " replicates from ", server.report.sources, " sources, which is not supported"));
    return std::nullopt;
  }
  const auto source = std::ranges::find_if(servers_, [&](const Survey& other) {
    return &other != &server && &other != &primary && other.report.replica && replicates_from(server, other);
  });
  // A chain that somebody made. Whether it stays is replication.chained's word, and the daemon's work.
  if (source != servers_.end() && runs(replica)) {
    return Assignment{at, Action::adopt, overwrite,
                      concat("it replicates from ", source->name, ", a replica itself")};
  }
  if (!replicates_from(server, primary)) {
    refuse(concat(server.name, " replicates from ", conf::to_string(replica.source), ", which is not ",
                  primary.name, remedy));
    return std::nullopt;
  }
  if (runs(replica)) return Assignment{at, Action::adopt, overwrite, "it replicates from " + primary.name};
  if (!replica.by_gtid) {
    refuse(
        concat(server.name, " replicates by binary log positions and not by GTID; turn it round: ",
               server.report.flavour == Flavour::mariadb
                   ? "STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = slave_pos; START SLAVE"
                   : "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1; START REPLICA"));
    return std::nullopt;
  }
  if (replica.sql_errno != 0 && !replica.interrupted()) {
    refuse(concat(server.name, " has stopped applying: ", replica.sql_errno, " ", replica.sql_error, remedy));
    return std::nullopt;
  }
  if (!primary.report.executed.contains(server.report.executed)) {
    refuse(concat(server.name, " has transactions that ", primary.name,
                  " lacks: ", server.report.executed.minus(primary.report.executed).to_string(), remedy));
    return std::nullopt;
  }
  return Assignment{at, Action::follow, false, "it is a replica of " + primary.name + " that does not run"};
}

std::optional<Assignment> Decider::assign(std::size_t at, const Survey& primary) {
  const Survey& server = servers_[at];
  const auto& mine = server.report.executed;
  const bool overwrite = may_overwrite(server);
  if (overwrite)
    return Assignment{at, Action::copy, has_own_data(server), "as told: --overwrite " + server.name};
  if (server.unfinished()) return Assignment{at, Action::copy, false, "a copy was begun and not finished"};
  if (server.report.replica) return assign_replica(at, primary, false);
  const bool reachable = mine.contains(primary.purged);
  if (is_part_of(server, primary) && reachable &&
      (server.contents.has_data() || !primary.contents.has_data())) {
    return Assignment{at, Action::follow, false, "all that it has is " + primary.name + "'s"};
  }
  // Whatever the primary did is in its binary logs, and no data are.
  const bool mysql = server.report.flavour == Flavour::mysql;
  if (mysql && !primary.contents.has_data() && !server.contents.has_data() && primary.purged.empty() &&
      mine.empty()) {
    return Assignment{at, Action::follow, false, "neither has data"};
  }
  if (!has_own_data(server)) return Assignment{at, Action::copy, false, "it has no data"};
  refuse(concat(server.name, " has data: ", server.contents.summary(), ". To throw them away for a copy of ",
                primary.name, ": --overwrite ", server.name));
  return std::nullopt;
}

std::expected<Decision, std::vector<std::string>> Decider::run() {
  for (const auto& name : wishes_.overwrite) {
    if (!find(name)) refuse(concat("no server ", name, " is in the configuration"));
  }
  const auto chosen = choose_primary();
  if (!chosen) return std::unexpected(refused_);
  Decision decision{.primary = chosen->first, .why = chosen->second, .replicas = {}};
  const Survey& primary = servers_[decision.primary];
  check_primary(primary);
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (i == decision.primary) continue;
    if (auto assignment = assign(i, primary)) decision.replicas.push_back(std::move(*assignment));
  }
  if (!refused_.empty()) return std::unexpected(refused_);
  return decision;
}

}  // namespace

bool Decision::nothing_to_do() const {
  return std::ranges::all_of(replicas, [](const auto& entry) { return entry.action == Action::adopt; });
}

bool replicates_from(const Survey& replica, const Survey& source) {
  if (!replica.report.replica) return false;
  const auto& status = *replica.report.replica;
  if (!status.source_uuid.empty()) return status.source_uuid == source.report.server_uuid;
  if (status.source_server_id != 0) return status.source_server_id == source.report.server_id;
  return status.source.host == mysql::network_host(source.address.host) &&
         status.source.port == source.address.port;
}

std::expected<Decision, std::vector<std::string>> decide(const std::vector<Survey>& servers,
                                                         const Wishes& wishes) {
  return Decider(servers, wishes).run();
}

}  // namespace pointsman::setup
