#include "health/setup/settings.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <set>

#include "health/mysql/concat.h"
#include "health/mysql/dialect.h"
#include "health/mysql/result_table.h"
#include "health/setup/accounts.h"

namespace pointsman::setup {
namespace {

using core::Flavour;
using mysql::concat;
using Weight = Finding::Weight;

constexpr unsigned has_replica_names = 80026;  // MySQL renamed its variables and plugins
constexpr std::uint64_t longest_net_timeout_s = 10;
constexpr std::uint64_t fewest_appliers = 2;

bool on(const std::string& value) {
  return mysql::to_flag(value);
}

// The findings of one server.
class Check {
 public:
  Check(const Survey& server, const conf::Config& config, std::vector<Finding>& into)
      : server_(server), config_(config), into_(into) {}

  void run() {
    history();
    durability();
    read_only();
    replication();
    semi_sync();
    clone();
    contents();
  }

 private:
  bool mariadb() const { return server_.report.flavour == Flavour::mariadb; }
  bool old_names() const {
    return mariadb() || mysql::version_number(server_.report.version) < has_replica_names;
  }
  std::string value(const std::string& name) const { return server_.variable(name); }
  bool has(const std::string& name) const { return server_.variables.contains(name); }
  Origin origin(const std::string& name) const {
    const auto found = server_.origins.find(name);
    return found == server_.origins.end() ? Origin::unknown : found->second;
  }

  void add(Weight weight, const std::string& name, const std::string& wanted, std::string why,
           std::string line = {}) {
    into_.push_back({weight, server_.name, name, value(name), wanted, std::move(why), std::move(line)});
  }
  // A variable that this server does not have cannot be wrong.
  void want(Weight weight, const std::string& name, const std::string& wanted, bool right, std::string why) {
    if (has(name) && !right) add(weight, name, wanted, std::move(why), name + " = " + wanted);
  }
  void want_on(Weight weight, const std::string& name, std::string why) {
    want(weight, name, mariadb() ? "1" : "ON", on(value(name)), std::move(why));
  }

  void history();
  void durability();
  void read_only();
  void replication();
  void semi_sync();
  void crash_recovery();
  void clone();
  void contents();

  const Survey& server_;
  const conf::Config& config_;
  std::vector<Finding>& into_;
};

void Check::history() {
  if (!on(value("log_bin"))) {
    into_.push_back({Weight::fatal, server_.name, "log_bin", "OFF", "ON",
                     "without a binary log there is nothing that a replica could follow",
                     "log_bin = binlog"});
  }
  const std::string format = value("binlog_format");
  if (has("binlog_format") && format != "ROW") {
    const bool statements = format == "STATEMENT";
    add(statements ? Weight::fatal : Weight::advice, "binlog_format", "ROW",
        statements ? "statements may do something else on a replica than on the primary"
                   : "what is logged as a statement may do something else on a replica than on the primary",
        "binlog_format = ROW");
  }
  const std::string log_updates = old_names() ? "log_slave_updates" : "log_replica_updates";
  want_on(Weight::fatal, log_updates, "nobody could follow this server once it was promoted");
  if (mariadb()) {
    want_on(Weight::advice, "gtid_strict_mode",
            "a write to a replica by mistake would go unnoticed until a failover finds it");
    if (value("gtid_domain_id") != "0" && has("gtid_domain_id")) {
      add(Weight::advice, "gtid_domain_id", "the same on every server",
          "transactions of different domains are applied in no order");
    }
    return;
  }
  want(Weight::fatal, "gtid_mode", "ON", value("gtid_mode") == "ON",
       "Pointsman tells by GTIDs who has what, and replicas find their place by them");
  want(Weight::fatal, "enforce_gtid_consistency", "ON", value("enforce_gtid_consistency") == "ON",
       "gtid_mode needs it");
  if (!on(value("performance_schema"))) {
    add(Weight::fatal, "performance_schema", "ON",
        "the state of replication and of a clone is told there alone", "performance_schema = ON");
  }
}

void Check::durability() {
  want(Weight::advice, "sync_binlog", "1", value("sync_binlog") == "1",
       "a crash of the host loses commits that clients were told of, or leaves a primary behind its replica");
  want(Weight::advice, "innodb_flush_log_at_trx_commit", "1", value("innodb_flush_log_at_trx_commit") == "1",
       "a crash of the host loses commits that clients were told of");
  want_on(Weight::advice, "relay_log_recovery", "after a crash of a replica its relay log may be torn");
}

// What counts is the next boot, and only a value that nobody changed since the last one tells of it.
void Check::read_only() {
  const std::string name = mariadb() ? "read_only" : "super_read_only";
  const std::string line = name + " = 1";
  constexpr const char* why =
      "a server that comes back must not take a single write before somebody has decided what it is";
  const bool set = value(name) != "0" && value(name) != "OFF";
  const bool untouched = origin(name) == Origin::file || origin(name) == Origin::compiled;
  if (untouched && !set) add(Weight::advice, name, "ON at boot", why, line);
  if (!untouched && !set) {
    into_.push_back({Weight::advice, server_.name, name, "OFF, set while it runs", "ON at boot",
                     concat("the server does not tell what is in its my.cnf; ", why), line});
  }
}

void Check::replication() {
  const std::string timeout = old_names() ? "slave_net_timeout" : "replica_net_timeout";
  if (has(timeout) && mysql::to_number(value(timeout)) > longest_net_timeout_s) {
    add(Weight::advice, timeout, "5", "so many seconds pass until a replica notices that its source vanished",
        timeout + " = 5");
  }
  const std::string workers = mariadb()     ? "slave_parallel_threads"
                              : old_names() ? "slave_parallel_workers"
                                            : "replica_parallel_workers";
  if (has(workers) && mysql::to_number(value(workers)) < fewest_appliers) {
    add(Weight::advice, workers, "8",
        "one applier falls behind several writers, and a failover waits until it has caught up",
        workers + " = 8");
  }
  if (mariadb() && value("slave_parallel_mode") == "none") {
    add(Weight::advice, "slave_parallel_mode", "optimistic", "the appliers would work one after another",
        "slave_parallel_mode = optimistic");
  }
  const std::string order = old_names() ? "slave_preserve_commit_order" : "replica_preserve_commit_order";
  if (!mariadb()) want_on(Weight::advice, order, "a replica would show states that the primary never had");
  want_on(Weight::advice, "skip_name_resolve",
          "a name server that hangs would hang every new connection to this server");
  for (const char* filter :
       {"replicate_do_db", "replicate_ignore_db", "replicate_do_table", "replicate_ignore_table",
        "replicate_wild_do_table", "replicate_wild_ignore_table"}) {
    if (has(filter) && !value(filter).empty()) {
      add(Weight::advice, filter, "empty", "a replica that leaves something out is not fit to be promoted");
    }
  }
}

void Check::clone() {
  if (mariadb() || server_.plugins.contains("clone") ||
      !can_clone(mysql::version_number(server_.report.version))) {
    return;
  }
  into_.push_back({Weight::advice, server_.name, "plugin_load_add", "the clone plugin not loaded",
                   "mysql_clone.so", "a server that has to be rebuilt gets its copy by it",
                   "plugin_load_add = mysql_clone.so"});
}

void Check::semi_sync() {
  if (mariadb()) return crash_recovery();
  if (config_.replication.semi_sync == conf::SemiSync::off) return;
  const bool old = old_names();
  const bool source =
      server_.plugins.contains("rpl_semi_sync_source") || server_.plugins.contains("rpl_semi_sync_master");
  const bool replica =
      server_.plugins.contains("rpl_semi_sync_replica") || server_.plugins.contains("rpl_semi_sync_slave");
  if (source && replica) return;
  const char* libraries =
      old ? "semisync_master.so;semisync_slave.so" : "semisync_source.so;semisync_replica.so";
  into_.push_back({Weight::advice, server_.name, "plugin_load_add", "semi-sync plugins not loaded", libraries,
                   "commits wait for a replica by these plugins; setup loads them now, the line keeps them",
                   concat("plugin_load_add = ", libraries)});
}

// See "Semi-sync" in the README. The server does not tell its init_rpl_role.
void Check::crash_recovery() {
  const std::string name = "rpl_semi_sync_slave_enabled";
  if (origin(name) != Origin::file || !on(value(name))) return;
  add(Weight::advice, name, "not in my.cnf, nor init_rpl_role = SLAVE",
      config_.replication.semi_sync == conf::SemiSync::required
          ? "when both servers are killed at once, as by a power failure, crash recovery on both would throw"
            " away commits that clients were told of; without these lines the primary keeps all, and what"
            " nobody was told of is taken back"
          : "crash recovery would throw away commits that clients were told of");
}

void Check::contents() {
  const auto list = [](const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return names.size() >= Contents::max_named ? text + ", ..." : text;
  };
  const Contents& data = server_.contents;
  if (!data.not_innodb.empty()) {
    into_.push_back(
        {Weight::advice, server_.name, "", list(data.not_innodb), "ENGINE = InnoDB",
         "these tables do not survive a crash, and writes to them during a copy may be there twice", ""});
  }
  if (!data.without_key.empty()) {
    into_.push_back({Weight::advice, server_.name, "", list(data.without_key), "a primary key",
                     "a replica searches the whole table for each row that changes in these", ""});
  }
  if (data.events > 0 && value("event_scheduler") == "OFF") {
    add(Weight::advice, "event_scheduler", "ON",
        "there are events, and Pointsman does not start the scheduler after a promotion",
        "event_scheduler = ON");
  }
}

// A number that no server has.
std::uint32_t free_server_id(std::set<std::uint32_t>& taken) {
  std::uint32_t id = 1;
  while (taken.contains(id)) ++id;
  taken.insert(id);
  return id;
}

void check_identity(const std::vector<Survey>& servers, std::vector<Finding>& into) {
  std::set<std::uint32_t> taken;
  for (const auto& server : servers) taken.insert(server.report.server_id);
  std::map<std::uint32_t, std::string> first;
  std::map<std::string, std::string> first_uuid;
  for (const auto& server : servers) {
    const auto id = server.report.server_id;
    const auto [other, fresh] = first.emplace(id, server.name);
    if (!fresh || id == 0) {
      const auto free = free_server_id(taken);
      into.push_back({Weight::fatal, server.name, "server_id", std::to_string(id), std::to_string(free),
                      id == 0 ? "a server without a number cannot replicate"
                              : concat("it is that of ", other->second, "; replication needs different ones"),
                      concat("server_id = ", free)});
    }
    const auto& uuid = server.report.server_uuid;
    if (uuid.empty()) continue;
    const auto [twin, fresh_uuid] = first_uuid.emplace(uuid, server.name);
    if (!fresh_uuid) {
      into.push_back({Weight::fatal, server.name, "server_uuid", uuid, "one of its own",
                      concat("it is that of ", twin->second,
                             "; stop the server, remove auto.cnf from its data directory, start it"),
                      ""});
    }
  }
}

void check_likeness(const std::vector<Survey>& servers, std::vector<Finding>& into) {
  if (servers.empty()) return;
  const Survey& first = servers.front();
  for (const auto& server : servers) {
    if (server.report.flavour != first.report.flavour) {
      into.push_back({Weight::fatal, server.name, "version", server.report.version, first.report.version,
                      concat("MariaDB and MySQL do not replicate from each other by GTID, and ", first.name,
                             " is the other one"),
                      ""});
      continue;
    }
    for (const char* name : {"lower_case_table_names", "gtid_domain_id"}) {
      if (server.variable(name) == first.variable(name)) continue;
      into.push_back({Weight::fatal, server.name, name, server.variable(name), first.variable(name),
                      concat("it must be the same as on ", first.name),
                      concat(name, " = ", first.variable(name))});
    }
    if (server.variable("max_allowed_packet") != first.variable("max_allowed_packet")) {
      into.push_back({Weight::advice, server.name, "max_allowed_packet",
                      server.variable("max_allowed_packet"), first.variable("max_allowed_packet"),
                      concat("it should be the same as on ", first.name,
                             ": a copy or a replica stops at a row that is larger"),
                      concat("max_allowed_packet = ", first.variable("max_allowed_packet"))});
    }
    const unsigned mine = mysql::version_number(server.report.version) / 100;
    if (mine != mysql::version_number(first.report.version) / 100) {
      into.push_back(
          {Weight::advice, server.name, "version", server.report.version, first.report.version,
           "a newer server cannot be followed by an older one, so roles can change in one direction"
           " only",
           ""});
    }
  }
}

}  // namespace

std::vector<Finding> check_settings(const std::vector<Survey>& servers, const conf::Config& config) {
  std::vector<Finding> findings;
  check_identity(servers, findings);
  check_likeness(servers, findings);
  for (const auto& server : servers) Check(server, config, findings).run();
  std::ranges::stable_sort(findings, {}, [&](const Finding& finding) {
    return std::ranges::find(servers, finding.server, &Survey::name) - servers.begin();
  });
  return findings;
}

std::string my_cnf_lines(const std::vector<Finding>& findings, const std::string& server) {
  std::string text;
  for (const auto& finding : findings) {
    if (finding.server == server && !finding.line.empty()) text += finding.line + "\n";
  }
  return text.empty() ? "" : "[mysqld]\n" + text;
}

}  // namespace pointsman::setup
