#include <algorithm>
#include <string>

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

// 31 years. The variable's maximum overflows when the server adds it to the time of day.
constexpr std::chrono::milliseconds no_timeout_of_mariadb{1'000'000'000'000};

class MariaDbDialect final : public Dialect {
 public:
  core::Flavour flavour() const override { return core::Flavour::mariadb; }

  std::expected<ServerReport, Failure> report(Connection& connection, Instant deadline) override;
  std::expected<std::optional<core::ReplicaStatus>, Failure> replica_status(Connection& connection,
                                                                            Instant deadline) override;

  // Only the unnamed connection is ours.
  std::string stop_receiver() const override { return "STOP SLAVE IO_THREAD"; }
  Outcome loosen_receiver(Connection& connection, Instant deadline) override;
  std::string start_receiver() const override { return "START SLAVE IO_THREAD"; }
  std::string start_applier() const override { return "START SLAVE SQL_THREAD"; }
  // With GTID it counts on the source to send it again (start_slave_threads() in sql/slave.cc).
  bool start_forgets_received() const override { return true; }
  std::string stop_replication() const override { return "STOP SLAVE"; }
  std::string start_replication() const override { return "START SLAVE"; }
  std::string forget_replication() const override { return "RESET SLAVE ALL"; }

  std::string wait_applied(const GtidSet& target, std::chrono::milliseconds slice) const override;

  Outcome set_semi_sync_source(Connection& connection, const core::SetSemiSyncSource& mode,
                               Instant deadline) override;
  Outcome become_source(Connection& connection, conf::SemiSync mode, Instant deadline) override;
  Outcome become_replica(Connection& connection, conf::SemiSync mode, Instant deadline) override;
  Outcome resign_source(Connection& connection, Instant deadline) override;
  Outcome make_read_only(Connection& connection, Instant deadline) override;

  std::string set_start(const GtidSet& executed) const override;
  Statement set_source(const Source& source) const override;
};

// Column names are the aliases, the same for all versions. `read_only` has more values than two since 12.0,
// all but OFF meaning read-only.
constexpr std::string_view variables =
    "SELECT @@global.server_id AS server_id, @@global.read_only AS read_only, @@global.log_bin AS log_bin,"
    " @@global.log_slave_updates AS log_replica_updates, @@global.gtid_strict_mode AS gtid_strict,"
    " @@global.gtid_binlog_state AS binlog_state, @@global.gtid_binlog_pos AS binlog_pos,"
    " @@global.gtid_slave_pos AS slave_pos, @@global.rpl_semi_sync_master_enabled AS semi_source,"
    " @@global.rpl_semi_sync_slave_enabled AS semi_replica,"
    " @@global.rpl_semi_sync_master_wait_no_slave AS semi_waits_alone,"
    " @@global.rpl_semi_sync_master_timeout AS semi_timeout, @@global.event_scheduler AS event_scheduler,"
    " @@global.slave_parallel_threads AS appliers, @@global.slave_parallel_mode AS parallel_mode,"
    " @@global.proxy_protocol_networks AS proxy_networks";

constexpr std::string_view status =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_status', "
    "'Rpl_semi_sync_master_clients',"
    " 'Rpl_semi_sync_master_wait_sessions',"
    " 'Rpl_semi_sync_slave_status', 'Uptime')";

// How long a receiver that was told to end takes until it has turned to its source.
constexpr core::Duration receiver_turn = std::chrono::milliseconds(5);

std::expected<core::ReplicaStatus, Failure> parse_replica(const ResultTable& table, std::size_t row,
                                                          const Connection& connection) {
  auto replica = parse_common_replica(table, row);
  const auto mode = table.text(row, {"Using_Gtid"});
  replica.by_gtid = equal_nocase(mode, "Slave_Pos") || equal_nocase(mode, "Current_Pos");
  replica.events_received += table.number(row, {"Slave_received_heartbeats"});
  auto received =
      parse_gtids(core::Flavour::mariadb, table.text(row, {"Gtid_IO_Pos"}), "Gtid_IO_Pos", connection);
  if (!received) return std::unexpected(received.error());
  replica.received = std::move(*received);
  return replica;
}

std::expected<ServerReport, Failure> MariaDbDialect::report(Connection& connection, Instant deadline) {
  const auto vars = connection.query(variables, deadline);
  if (!vars) return std::unexpected(vars.error());
  const auto replicas = connection.query("SHOW ALL SLAVES STATUS", deadline);
  if (!replicas) return std::unexpected(replicas.error());
  const auto counters = connection.query(status, deadline);
  if (!counters) return std::unexpected(counters.error());

  ServerReport report;
  report.flavour = core::Flavour::mariadb;
  report.version = plain_version(connection.server_version());
  report.server_id = static_cast<std::uint32_t>(vars->number(0, {"server_id"}));
  const auto read_only = vars->text(0, {"read_only"});
  report.read_only = read_only != "0" && !equal_nocase(read_only, "OFF");
  report.log_bin = vars->flag(0, {"log_bin"});
  report.log_replica_updates = vars->flag(0, {"log_replica_updates"});
  report.gtid_strict = vars->flag(0, {"gtid_strict"});
  report.event_scheduler = vars->flag(0, {"event_scheduler"});
  report.takes_proxy_header = !vars->text(0, {"proxy_networks"}).empty();
  report.gtid_on = true;
  const bool serial = equal_nocase(vars->text(0, {"parallel_mode"}), "none");
  report.appliers = serial ? 1 : std::max(1U, static_cast<unsigned>(vars->number(0, {"appliers"})));
  // None of the three is enough: the binary log may lack what came by replication, the replica's position
  // lacks what was written here, and the state, unlike the positions, names each server's last one in every
  // domain.
  for (const auto* column : {"binlog_state", "binlog_pos", "slave_pos"}) {
    const auto part = parse_gtids(core::Flavour::mariadb, vars->text(0, {column}), column, connection);
    if (!part) return std::unexpected(part.error());
    report.executed = report.executed.united(*part);
  }

  report.sources = static_cast<unsigned>(replicas->rows());
  if (!replicas->empty()) {
    auto replica = parse_replica(*replicas, own_channel(*replicas, "Connection_name"), connection);
    if (!replica) return std::unexpected(replica.error());
    report.replica = std::move(*replica);
  }

  const auto counter = [&](std::string_view name) { return named_value(*counters, name); };
  report.semi_sync.available = true;  // built in since 10.3
  report.semi_sync.source_enabled = vars->flag(0, {"semi_source"});
  report.semi_sync.source_clients = static_cast<unsigned>(to_number(counter("Rpl_semi_sync_master_clients")));
  report.semi_sync.source_waiting =
      static_cast<unsigned>(to_number(counter("Rpl_semi_sync_master_wait_sessions")));
  report.semi_sync.source_timeout = std::chrono::milliseconds(vars->number(0, {"semi_timeout"}));
  // The status stays ON when the last replica went away from a primary that does not wait for nobody.
  report.semi_sync.source_active =
      to_flag(counter("Rpl_semi_sync_master_status")) &&
      (report.semi_sync.source_clients > 0 || vars->flag(0, {"semi_waits_alone"}));
  report.semi_sync.source_insists = insists(*vars);
  report.semi_sync.source_waits_alone = vars->flag(0, {"semi_waits_alone"});
  report.semi_sync.replica_enabled = vars->flag(0, {"semi_replica"});
  report.semi_sync.replica_active = to_flag(counter("Rpl_semi_sync_slave_status"));
  report.uptime = std::chrono::seconds(to_number(counter("Uptime")));
  return report;
}

// A semi-synchronous receiver that ends connects to its source to end the sender there, and a frozen source
// answers that neither; STOP SLAVE would wake it from this only after two seconds (terminate_slave_thread).
// So it is sent on its way first, and the STOP that follows finds it there and wakes it at once.
Dialect::Outcome MariaDbDialect::loosen_receiver(Connection& connection, Instant deadline) {
  const auto receivers =
      connection.query("SELECT id FROM information_schema.processlist WHERE command = 'Slave_IO'", deadline);
  if (!receivers) return std::unexpected(receivers.error());
  for (std::size_t row = 0; row < receivers->rows(); ++row) {
    auto killed = run(connection, concat("KILL ", std::to_string(receivers->number(row, {"id"}))), deadline);
    if (!killed && killed.error().server_errno != no_such_thread_errno) return killed;
  }
  (void)connection.pause(receiver_turn);
  return {};
}

std::expected<std::optional<core::ReplicaStatus>, Failure> MariaDbDialect::replica_status(
    Connection& connection, Instant deadline) {
  const auto table = connection.query("SHOW ALL SLAVES STATUS", deadline);
  if (!table) return std::unexpected(table.error());
  if (table->empty()) return std::optional<core::ReplicaStatus>();
  auto replica = parse_replica(*table, own_channel(*table, "Connection_name"), connection);
  if (!replica) return std::unexpected(replica.error());
  return std::optional(std::move(*replica));
}

// Waits for gtid_slave_pos, that is, for what is applied, parallel appliers included.
std::string MariaDbDialect::wait_applied(const GtidSet& target, std::chrono::milliseconds slice) const {
  return concat("SELECT MASTER_GTID_WAIT(", quote(target.position()), ", ", seconds_text(slice), ")");
}

namespace {

std::string source_role(const core::SetSemiSyncSource& role) {
  if (role.semi_sync == conf::SemiSync::off)
    return "rpl_semi_sync_slave_enabled = OFF, rpl_semi_sync_master_enabled = OFF";
  const bool required = role.semi_sync == conf::SemiSync::required;
  return concat(
      "rpl_semi_sync_slave_enabled = OFF, rpl_semi_sync_master_wait_point = AFTER_SYNC, "
      "rpl_semi_sync_master_timeout = ",
      (required ? no_timeout_of_mariadb : preferred_semi_sync_timeout).count(),
      ", rpl_semi_sync_master_wait_no_slave = ", required || role.replica_there ? "ON" : "OFF",
      ", rpl_semi_sync_master_enabled = ON");
}

}  // namespace

Dialect::Outcome MariaDbDialect::set_semi_sync_source(Connection& connection,
                                                      const core::SetSemiSyncSource& mode, Instant deadline) {
  return run(connection, "SET GLOBAL " + source_role(mode), deadline);
}

// One SET, applied from left to right and stopped by the first error, so that writes are allowed last or not
// at all.
Dialect::Outcome MariaDbDialect::become_source(Connection& connection, conf::SemiSync mode,
                                               Instant deadline) {
  return run(connection, "SET GLOBAL " + source_role({mode, false}) + ", read_only = OFF", deadline);
}

Dialect::Outcome MariaDbDialect::become_replica(Connection& connection, conf::SemiSync mode,
                                                Instant deadline) {
  const char* wanted = mode == conf::SemiSync::off ? "OFF" : "ON";
  return run(connection, concat("SET GLOBAL rpl_semi_sync_slave_enabled = ", wanted), deadline);
}

Dialect::Outcome MariaDbDialect::resign_source(Connection& connection, Instant deadline) {
  return run(connection, "SET GLOBAL rpl_semi_sync_master_enabled = OFF", deadline);
}

// The server takes the global read lock first and changes the variable when it has it: a timeout leaves it as
// it was.
Dialect::Outcome MariaDbDialect::make_read_only(Connection& connection, Instant deadline) {
  return run(connection, "SET GLOBAL read_only = ON", deadline);
}

std::string MariaDbDialect::set_start(const GtidSet& executed) const {
  return concat("SET GLOBAL gtid_slave_pos = ", quote(executed.position()));
}

Statement MariaDbDialect::set_source(const Source& source) const {
  const auto text = [&](std::string_view password) {
    return concat("CHANGE MASTER TO MASTER_HOST = ", quote(network_host(source.address.host)),
                  ", MASTER_PORT = ", source.address.port, ", MASTER_USER = ", quote(source.account.user),
                  ", MASTER_PASSWORD = ", password, ", MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
                  ", MASTER_HEARTBEAT_PERIOD = ", seconds_text(source.heartbeat));
  };
  return {text(quote(source.account.password)), text("***")};
}

}  // namespace

std::unique_ptr<Dialect> make_mariadb_dialect() {
  return std::make_unique<MariaDbDialect>();
}

}  // namespace pointsman::mysql
