#include <string>

#include "health/mysql/boot_clock.h"
#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/dialect.h"
#include "health/mysql/errors.h"
#include "health/mysql/quote.h"
#include "health/mysql/report_parts.h"

namespace pointsman::mysql {
namespace {

using core::Failure;
using core::GtidSet;
using core::Instant;
using core::ServerReport;

// The maximum of rpl_semi_sync_source_timeout, 49 days.
constexpr std::chrono::milliseconds no_timeout_of_mysql{4294967295};

constexpr unsigned unknown_variable_errno = 1193;

// How long an applier is waited for that has not come to what was received last; and how often it is looked
// at. Where all before is applied, it has come there.
constexpr core::Duration applier_turn = std::chrono::milliseconds(50);
constexpr core::Duration applier_pause = std::chrono::milliseconds(1);

// MySQL renamed everything in 8.0.22 to 8.0.26, and dropped the old statements in 8.4.
constexpr unsigned has_replica_words = 80022;
constexpr unsigned has_source_words = 80023;
constexpr unsigned has_new_semi_sync = 80026;
constexpr unsigned has_log_replica_updates = 80026;

class MySqlDialect final : public Dialect {
 public:
  explicit MySqlDialect(unsigned version)
      : version_(version), replica_(version >= has_replica_words ? "REPLICA" : "SLAVE") {}

  core::Flavour flavour() const override { return core::Flavour::mysql; }

  std::expected<ServerReport, Failure> report(Connection& connection, Instant deadline) override;
  std::expected<std::optional<core::ReplicaStatus>, Failure> replica_status(Connection& connection,
                                                                            Instant deadline) override;

  // Only the unnamed channel is ours.
  std::string stop_receiver() const override {
    return concat("STOP ", replica_, " IO_THREAD FOR CHANNEL ''");
  }
  std::string start_receiver() const override {
    return concat("START ", replica_, " IO_THREAD FOR CHANNEL ''");
  }
  std::string start_applier() const override {
    return concat("START ", replica_, " SQL_THREAD FOR CHANNEL ''");
  }
  Outcome loosen_applier(Connection& connection, Instant deadline) override;
  std::string stop_replication() const override { return concat("STOP ", replica_, " FOR CHANNEL ''"); }
  std::string start_replication() const override { return concat("START ", replica_, " FOR CHANNEL ''"); }
  std::string forget_replication() const override {
    return concat("RESET ", replica_, " ALL FOR CHANNEL ''");
  }
  // A dozen synchronous writes and unlinks, 40 to 60 ms where everything else of a promotion takes 5.
  bool forgetting_is_slow() const override { return true; }

  std::string wait_applied(const GtidSet& target, std::chrono::milliseconds slice) const override;

  Outcome set_semi_sync_source(Connection& connection, const core::SetSemiSyncSource& mode,
                               Instant deadline) override;
  Outcome become_source(Connection& connection, conf::SemiSync mode, Instant deadline) override;
  Outcome become_replica(Connection& connection, conf::SemiSync mode, Instant deadline) override;
  Outcome resign_source(Connection& connection, Instant deadline) override;
  Outcome make_read_only(Connection& connection, Instant deadline) override;
  Outcome release_waiting_commits(Connection& connection, Instant deadline) override;
  Outcome admit_clients(Connection& connection, Instant deadline) override;

  std::string set_start(const GtidSet&) const override {
    return {};
  }  // SOURCE_AUTO_POSITION sends gtid_executed
  Statement set_source(const Source& source) const override;

 private:
  std::string source_role(const core::SetSemiSyncSource& role) const;

  // The plugin and its variables exist under two sets of names, of which a server may load either, or none.
  struct SemiSyncNames {
    std::string_view source;      // "rpl_semi_sync_source" or "rpl_semi_sync_master"
    std::string_view replica;     // "rpl_semi_sync_replica" or "rpl_semi_sync_slave"
    std::string_view no_replica;  // what the variables call a missing one
    bool complete() const { return !source.empty() && !replica.empty(); }
  };

  Outcome find_semi_sync(Connection& connection, Instant deadline);
  Outcome install_semi_sync(Connection& connection, Instant deadline);
  Outcome prepare_semi_sync(Connection& connection, conf::SemiSync mode, Instant deadline);
  std::string variables() const;
  std::expected<ResultTable, Failure> query_variables(Connection& connection, Instant deadline);
  Outcome add_semi_sync(ServerReport& report, const ResultTable& variables, Connection& connection,
                        Instant deadline);
  std::expected<core::ReplicaStatus, Failure> parse_replica(const ResultTable& table, Connection& connection,
                                                            Instant deadline);

  const unsigned version_;
  const std::string_view replica_;
  SemiSyncNames semi_sync_;
  bool semi_sync_searched_ = false;
  bool heartbeats_denied_ = false;
  // Uptime is asked once; from then on our clock tells it, as a restart ends the connection.
  std::chrono::seconds uptime_{0};
  Instant uptime_read_{};
};

Dialect::Outcome MySqlDialect::find_semi_sync(Connection& connection, Instant deadline) {
  const auto plugins = connection.query(
      "SELECT PLUGIN_NAME FROM information_schema.PLUGINS"
      " WHERE PLUGIN_NAME LIKE 'rpl\\_semi\\_sync\\_%' AND PLUGIN_STATUS = 'ACTIVE'",
      deadline);
  if (!plugins) return std::unexpected(plugins.error());
  semi_sync_ = {};
  for (std::size_t row = 0; row < plugins->rows(); ++row) {
    const auto name = plugins->at(row, 0).value_or(std::string_view());
    if (equal_nocase(name, "rpl_semi_sync_source"))
      semi_sync_.source = "rpl_semi_sync_source", semi_sync_.no_replica = "no_replica";
    if (equal_nocase(name, "rpl_semi_sync_master"))
      semi_sync_.source = "rpl_semi_sync_master", semi_sync_.no_replica = "no_slave";
    if (equal_nocase(name, "rpl_semi_sync_replica")) semi_sync_.replica = "rpl_semi_sync_replica";
    if (equal_nocase(name, "rpl_semi_sync_slave")) semi_sync_.replica = "rpl_semi_sync_slave";
  }
  semi_sync_searched_ = true;
  return {};
}

std::string MySqlDialect::variables() const {
  const char* log_updates = version_ >= has_log_replica_updates ? "log_replica_updates" : "log_slave_updates";
  const char* replica = version_ >= has_log_replica_updates ? "replica" : "slave";
  std::string sql = concat(
      "SELECT @@global.server_id AS server_id, @@global.server_uuid AS server_uuid,"
      " @@global.read_only AS read_only, @@global.log_bin AS log_bin, @@global.",
      log_updates, " AS log_replica_updates, @@global.gtid_mode AS gtid_mode,",
      " @@global.enforce_gtid_consistency AS gtid_strict, @@global.event_scheduler AS event_scheduler,"
      " @@global.gtid_executed AS executed, @@global.",
      replica, "_parallel_workers AS appliers, @@global.", replica, "_preserve_commit_order AS commit_order");
  if (!semi_sync_.source.empty()) {
    sql += concat(", @@global.", semi_sync_.source, "_enabled AS semi_source, @@global.", semi_sync_.source,
                  "_wait_", semi_sync_.no_replica, " AS semi_waits_alone, @@global.", semi_sync_.source,
                  "_timeout AS semi_timeout");
  }
  if (!semi_sync_.replica.empty())
    sql += concat(", @@global.", semi_sync_.replica, "_enabled AS semi_replica");
  return sql;
}

std::expected<ResultTable, Failure> MySqlDialect::query_variables(Connection& connection, Instant deadline) {
  if (!semi_sync_searched_) {
    if (auto found = find_semi_sync(connection, deadline); !found) return std::unexpected(found.error());
  }
  auto vars = connection.query(variables(), deadline);
  if (vars || vars.error().server_errno != unknown_variable_errno) return vars;
  // Somebody unloaded a plugin.
  if (auto found = find_semi_sync(connection, deadline); !found) return std::unexpected(found.error());
  return connection.query(variables(), deadline);
}

std::expected<ServerReport, Failure> MySqlDialect::report(Connection& connection, Instant deadline) {
  const auto vars = query_variables(connection, deadline);
  if (!vars) return std::unexpected(vars.error());
  ServerReport report;
  report.flavour = core::Flavour::mysql;
  report.version = connection.server_version();
  report.server_id = static_cast<std::uint32_t>(vars->number(0, {"server_id"}));
  report.server_uuid = clean_text(vars->text(0, {"server_uuid"}));
  report.read_only = vars->flag(0, {"read_only"});
  report.log_bin = vars->flag(0, {"log_bin"});
  report.log_replica_updates = vars->flag(0, {"log_replica_updates"});
  report.gtid_on = vars->flag(0, {"gtid_mode"});
  report.gtid_strict = vars->flag(0, {"gtid_strict"});
  report.appliers = std::max(1U, static_cast<unsigned>(vars->number(0, {"appliers"})));
  report.keeps_commit_order = vars->flag(0, {"commit_order"});
  report.event_scheduler = vars->flag(0, {"event_scheduler"});
  auto executed = parse_gtids(core::Flavour::mysql, vars->text(0, {"executed"}), "gtid_executed", connection);
  if (!executed) return std::unexpected(executed.error());
  report.executed = std::move(*executed);

  const auto replicas = connection.query(concat("SHOW ", replica_, " STATUS"), deadline);
  if (!replicas) return std::unexpected(replicas.error());
  report.sources = static_cast<unsigned>(replicas->rows());
  if (!replicas->empty()) {
    auto replica = parse_replica(*replicas, connection, deadline);
    if (!replica) return std::unexpected(replica.error());
    report.replica = std::move(*replica);
  }
  if (auto added = add_semi_sync(report, *vars, connection, deadline); !added)
    return std::unexpected(added.error());

  if (uptime_read_ == Instant{}) {
    const auto uptime = connection.query("SHOW GLOBAL STATUS LIKE 'Uptime'", deadline);
    if (!uptime) return std::unexpected(uptime.error());
    uptime_ = std::chrono::seconds(to_number(named_value(*uptime, "Uptime")));
    uptime_read_ = boot_now();
  }
  report.uptime = uptime_ + std::chrono::duration_cast<std::chrono::seconds>(boot_now() - uptime_read_);
  return report;
}

Dialect::Outcome MySqlDialect::add_semi_sync(ServerReport& report, const ResultTable& variables,
                                             Connection& connection, Instant deadline) {
  report.semi_sync.available = semi_sync_.complete();
  if (semi_sync_.source.empty() && semi_sync_.replica.empty()) {
    semi_sync_searched_ = false;  // a third of a millisecond to see it when somebody loads it
    return {};
  }
  report.semi_sync.source_enabled = variables.flag(0, {"semi_source"});
  report.semi_sync.source_insists = insists(variables);
  report.semi_sync.source_waits_alone = variables.flag(0, {"semi_waits_alone"});
  report.semi_sync.replica_enabled = variables.flag(0, {"semi_replica"});
  if (!report.semi_sync.source_enabled && !report.semi_sync.replica_enabled) return {};
  const auto counters = connection.query("SHOW GLOBAL STATUS LIKE 'Rpl\\_semi\\_sync\\_%'", deadline);
  if (!counters) return std::unexpected(counters.error());
  const auto counter = [&](std::string_view plugin, std::string_view name) {
    return plugin.empty() ? std::string_view() : named_value(*counters, concat(plugin, name));
  };
  report.semi_sync.source_clients = static_cast<unsigned>(to_number(counter(semi_sync_.source, "_clients")));
  report.semi_sync.source_waiting =
      static_cast<unsigned>(to_number(counter(semi_sync_.source, "_wait_sessions")));
  report.semi_sync.source_timeout = std::chrono::milliseconds(variables.number(0, {"semi_timeout"}));
  // The status stays ON when the last replica went away from a primary that does not wait for nobody.
  report.semi_sync.source_active =
      to_flag(counter(semi_sync_.source, "_status")) &&
      (report.semi_sync.source_clients > 0 || variables.flag(0, {"semi_waits_alone"}));
  report.semi_sync.replica_active = to_flag(counter(semi_sync_.replica, "_status"));
  return {};
}

std::expected<core::ReplicaStatus, Failure> MySqlDialect::parse_replica(const ResultTable& table,
                                                                        Connection& connection,
                                                                        Instant deadline) {
  const auto row = own_channel(table, "Channel_Name");
  auto replica = parse_common_replica(table, row);
  replica.source_uuid = clean_text(table.text(row, {"Source_UUID", "Master_UUID"}));
  replica.by_gtid = table.flag(row, {"Auto_Position"});
  auto received = parse_gtids(core::Flavour::mysql, table.text(row, {"Retrieved_Gtid_Set"}),
                              "Retrieved_Gtid_Set", connection);
  if (!received) return std::unexpected(received.error());
  replica.received = std::move(*received);
  if (heartbeats_denied_) return replica;

  // The status above does not change by heartbeats. Without the right to read this, an idle source is not
  // seen to live.
  const auto heartbeats = connection.query(
      "SELECT COUNT_RECEIVED_HEARTBEATS FROM performance_schema.replication_connection_status WHERE "
      "CHANNEL_NAME = ''",
      deadline);
  if (heartbeats) {
    replica.events_received += to_number(heartbeats->at(0, 0).value_or(std::string_view()));
  } else if (heartbeats.error().kind == core::FailureKind::denied) {
    heartbeats_denied_ = true;
  } else {
    return std::unexpected(heartbeats.error());
  }
  return replica;
}

std::expected<std::optional<core::ReplicaStatus>, Failure> MySqlDialect::replica_status(
    Connection& connection, Instant deadline) {
  const auto table = connection.query(concat("SHOW ", replica_, " STATUS"), deadline);
  if (!table) return std::unexpected(table.error());
  if (table->empty()) return std::optional<core::ReplicaStatus>();
  auto replica = parse_replica(*table, connection, deadline);
  if (!replica) return std::unexpected(replica.error());
  return std::optional(std::move(*replica));
}

std::string MySqlDialect::wait_applied(const GtidSet& target, std::chrono::milliseconds slice) const {
  return concat("SELECT WAIT_FOR_EXECUTED_GTID_SET(", quote(target.to_string()), ", ", seconds_text(slice),
                ")");
}

// The coordinator goes on reading to the end of a transaction that it has begun to hand out, also when it is
// to stop; of one that was received in part no end comes, and only after a minute it gives up
// (sql_slave_killed() in sql/rpl_replica.cc). Killed it gives up at once, unless it was told to stop before:
// so that comes when it has ended. Its workers roll back.
Dialect::Outcome MySqlDialect::loosen_applier(Connection& connection, Instant deadline) {
  // Asked first, as the other tables are opened for a few milliseconds when nobody has used them before. What
  // is not allowed, or not known to the server, leaves the applier as it is.
  const auto part = connection.query(
      "SELECT 1 FROM performance_schema.replication_connection_status"
      " WHERE CHANNEL_NAME = '' AND QUEUEING_TRANSACTION <> ''",
      deadline);
  if (!part) return connection.is_open() ? Outcome() : std::unexpected(part.error());
  if (part->empty()) return {};

  auto enough = std::min(deadline, boot_now() + applier_turn);
  for (bool killed = false;;) {
    const auto half = connection.query(
        "SELECT t.PROCESSLIST_ID, a.PROCESSING_TRANSACTION = c.QUEUEING_TRANSACTION"
        " FROM performance_schema.replication_connection_status c"
        " JOIN performance_schema.replication_applier_status_by_coordinator a USING (CHANNEL_NAME)"
        " JOIN performance_schema.threads t ON t.THREAD_ID = a.THREAD_ID"
        " WHERE c.CHANNEL_NAME = '' AND c.QUEUEING_TRANSACTION <> ''",
        deadline);
    if (!half) return connection.is_open() ? Outcome() : std::unexpected(half.error());
    if (half->empty()) return {};
    if (!killed && half->at(0, 1) == "1") {
      const auto done =
          run(connection, concat("KILL ", half->at(0, 0).value_or(std::string_view())), deadline);
      // Without SYSTEM_USER the minute passes.
      if (!done && done.error().server_errno != no_such_thread_errno)
        return connection.is_open() ? Outcome() : done;
      killed = true;
      enough = deadline;
    }
    if (boot_now() >= enough || !connection.pause(applier_pause)) return {};
  }
}

// Loading a plugin writes to mysql.plugin, so super_read_only must be off for a moment; read_only stays as it
// is and keeps clients out. What the account may not do is left undone: the report says that it is not
// available.
Dialect::Outcome MySqlDialect::install_semi_sync(Connection& connection, Instant deadline) {
  const bool renamed = version_ >= has_new_semi_sync;
  const auto before = connection.query("SELECT @@global.super_read_only", deadline);
  if (!before) return std::unexpected(before.error());
  const bool protect = to_flag(before->at(0, 0).value_or(std::string_view()));
  if (protect) {
    if (auto done = run(connection, "SET GLOBAL super_read_only = OFF", deadline); !done) return done;
  }
  const auto load = [&](std::string_view plugin, std::string_view library) {
    const auto tried =
        run(connection, concat("INSTALL PLUGIN ", plugin, " SONAME ", quote(library)), deadline);
    return connection.is_open() ? Outcome() : tried;
  };
  Outcome loaded;
  if (semi_sync_.source.empty()) {
    loaded = renamed ? load("rpl_semi_sync_source", "semisync_source.so")
                     : load("rpl_semi_sync_master", "semisync_master.so");
  }
  if (loaded && semi_sync_.replica.empty()) {
    loaded = renamed ? load("rpl_semi_sync_replica", "semisync_replica.so")
                     : load("rpl_semi_sync_slave", "semisync_slave.so");
  }
  if (!loaded) return loaded;
  if (protect) {
    if (auto done = run(connection, "SET GLOBAL super_read_only = ON", deadline); !done) return done;
  }
  return find_semi_sync(connection, deadline);
}

Dialect::Outcome MySqlDialect::prepare_semi_sync(Connection& connection, conf::SemiSync mode,
                                                 Instant deadline) {
  if (!semi_sync_searched_) {
    if (auto found = find_semi_sync(connection, deadline); !found) return found;
  }
  if (mode == conf::SemiSync::off || semi_sync_.complete()) return {};
  return install_semi_sync(connection, deadline);
}

// "name = value, ..."; empty: the server has no plugin, and is not wanted to have one.
std::string MySqlDialect::source_role(const core::SetSemiSyncSource& role) const {
  std::string sql;
  if (!semi_sync_.replica.empty()) sql += concat(semi_sync_.replica, "_enabled = OFF, ");
  const auto name = semi_sync_.source;
  if (!name.empty() && role.semi_sync == conf::SemiSync::off) {
    sql += concat(name, "_enabled = OFF, ");
  } else if (!name.empty()) {
    const bool required = role.semi_sync == conf::SemiSync::required;
    const char* count =
        semi_sync_.no_replica == "no_slave" ? "_wait_for_slave_count = 1, " : "_wait_for_replica_count = 1, ";
    sql += concat(name, "_wait_point = AFTER_SYNC, ", name, count, name,
                  "_timeout = ", (required ? no_timeout_of_mysql : preferred_semi_sync_timeout).count(), ", ",
                  name, "_wait_", semi_sync_.no_replica, " = ",
                  required || role.replica_there ? "ON, " : "OFF, ", name, "_enabled = ON, ");
  }
  if (!sql.empty()) sql.resize(sql.size() - 2);
  return sql;
}

Dialect::Outcome MySqlDialect::set_semi_sync_source(Connection& connection,
                                                    const core::SetSemiSyncSource& mode, Instant deadline) {
  if (auto ready = prepare_semi_sync(connection, mode.semi_sync, deadline); !ready) return ready;
  const std::string role = source_role(mode);
  return role.empty() ? Outcome() : run(connection, "SET GLOBAL " + role, deadline);
}

// One SET, applied from left to right and stopped by the first error, so that writes are allowed last or not
// at all. read_only = OFF takes super_read_only with it (manual, "super_read_only").
Dialect::Outcome MySqlDialect::become_source(Connection& connection, conf::SemiSync mode, Instant deadline) {
  if (auto ready = prepare_semi_sync(connection, mode, deadline); !ready) return ready;
  const std::string role = source_role({mode, false});
  return run(connection, concat("SET GLOBAL ", role, role.empty() ? "" : ", ", "read_only = OFF"), deadline);
}

Dialect::Outcome MySqlDialect::become_replica(Connection& connection, conf::SemiSync mode, Instant deadline) {
  if (auto ready = prepare_semi_sync(connection, mode, deadline); !ready) return ready;
  if (semi_sync_.replica.empty()) return {};
  const char* wanted = mode == conf::SemiSync::off ? "OFF" : "ON";
  return run(connection, concat("SET GLOBAL ", semi_sync_.replica, "_enabled = ", wanted), deadline);
}

Dialect::Outcome MySqlDialect::resign_source(Connection& connection, Instant deadline) {
  if (auto found = find_semi_sync(connection, deadline); !found) return found;
  if (semi_sync_.source.empty()) return {};
  return run(connection, concat("SET GLOBAL ", semi_sync_.source, "_enabled = OFF"), deadline);
}

// super_read_only takes read_only with it. After a timeout both have their old values.
Dialect::Outcome MySqlDialect::make_read_only(Connection& connection, Instant deadline) {
  return run(connection, "SET GLOBAL super_read_only = ON", deadline);
}

// KILL closes a client's socket but does not end its wait for a replica, and only the end of the source role
// does. Between that and read_only nobody may commit and be told that it is safe, so new clients are refused
// meanwhile.
Dialect::Outcome MySqlDialect::release_waiting_commits(Connection& connection, Instant deadline) {
  if (auto done = run(connection, "SET GLOBAL offline_mode = ON", deadline); !done) return done;
  return resign_source(connection, deadline);
}

Dialect::Outcome MySqlDialect::admit_clients(Connection& connection, Instant deadline) {
  return run(connection, "SET GLOBAL offline_mode = OFF", deadline);
}

Statement MySqlDialect::set_source(const Source& source) const {
  const bool renamed = version_ >= has_source_words;
  const std::string_view word = renamed ? "SOURCE" : "MASTER";
  const auto text = [&](std::string_view password) {
    return concat("CHANGE ", renamed ? "REPLICATION SOURCE" : "MASTER", " TO ", word,
                  "_HOST = ", quote(network_host(source.address.host)), ", ", word,
                  "_PORT = ", source.address.port, ", ", word, "_USER = ", quote(source.account.user), ", ",
                  word, "_PASSWORD = ", password, ", ", word, "_AUTO_POSITION = 1, GET_", word,
                  "_PUBLIC_KEY = 1, ", word, "_CONNECT_RETRY = 1, ", word, "_RETRY_COUNT = 0, ", word,
                  "_HEARTBEAT_PERIOD = ", seconds_text(source.heartbeat), " FOR CHANNEL ''");
  };
  return {text(quote(source.account.password)), text("***")};
}

}  // namespace

std::unique_ptr<Dialect> make_mysql_dialect(unsigned version) {
  return std::make_unique<MySqlDialect>(version);
}

}  // namespace pointsman::mysql
