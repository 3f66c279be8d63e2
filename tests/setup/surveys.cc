#include "tests/setup/surveys.h"

namespace pointsman::setup {

core::GtidSet gtids(core::Flavour flavour, const std::string& text) {
  return core::GtidSet::parse(flavour, text).value();
}

Survey bare(core::Flavour flavour, unsigned number) {
  const bool mariadb = flavour == core::Flavour::mariadb;
  Survey server;
  server.name = "db" + std::to_string(number);
  server.address = {"192.168.10." + std::to_string(number), 3306};
  server.report.flavour = flavour;
  server.report.version = mariadb ? "10.11.6-MariaDB" : "9.7.0";
  server.report.server_id = number;
  if (!mariadb) server.report.server_uuid = "00000000-0000-0000-0000-00000000000" + std::to_string(number);
  server.report.executed = gtids(flavour, "");
  server.purged = gtids(flavour, "");
  server.variables = {{"log_bin", "ON"},
                      {"binlog_format", "ROW"},
                      {"sync_binlog", "1"},
                      {"innodb_flush_log_at_trx_commit", "1"},
                      {"relay_log_recovery", "ON"},
                      {"skip_name_resolve", "ON"},
                      {"lower_case_table_names", "0"}};
  if (mariadb) {
    server.variables.insert({{"log_slave_updates", "ON"},
                             {"gtid_strict_mode", "ON"},
                             {"gtid_domain_id", "0"},
                             {"read_only", "ON"},
                             {"slave_net_timeout", "5"},
                             {"slave_parallel_threads", "8"}});
    server.origins = {{"read_only", Origin::file}, {"rpl_semi_sync_slave_enabled", Origin::compiled}};
  } else {
    server.variables.insert({{"log_replica_updates", "ON"},
                             {"gtid_mode", "ON"},
                             {"enforce_gtid_consistency", "ON"},
                             {"performance_schema", "ON"},
                             {"super_read_only", "ON"},
                             {"replica_net_timeout", "5"},
                             {"replica_parallel_workers", "4"},
                             {"replica_preserve_commit_order", "ON"}});
    server.origins = {{"super_read_only", Origin::file}};
    server.plugins = {"rpl_semi_sync_source", "rpl_semi_sync_replica", "clone"};
  }
  return server;
}

Survey with_data(Survey server, const std::string& executed) {
  server.contents = {
      .databases = {"app"}, .objects = 3, .bytes = 1 << 20, .events = 0, .not_innodb = {}, .without_key = {}};
  server.report.executed = gtids(server.report.flavour, executed);
  return server;
}

Survey replica_of(Survey server, const Survey& source) {
  core::ReplicaStatus status;
  status.source = source.address;
  status.source_server_id = source.report.server_id;
  status.source_uuid = source.report.server_uuid;
  status.io = core::ReplicaStatus::Io::yes;
  status.sql = true;
  status.by_gtid = true;
  server.report.replica = status;
  server.report.sources = 1;
  return server;
}

}  // namespace pointsman::setup
