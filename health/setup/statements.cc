#include "health/setup/statements.h"

#include "health/mysql/concat.h"

namespace pointsman::setup {
namespace {

using mysql::concat;

const char* word(conf::SemiSync mode) {
  switch (mode) {
    case conf::SemiSync::required:
      return "required";
    case conf::SemiSync::preferred:
      return "preferred";
    case conf::SemiSync::off:
      return "off";
  }
  return "?";
}

}  // namespace

std::vector<std::string> writable_statements(core::Flavour flavour, conf::SemiSync mode) {
  const bool mariadb = flavour == core::Flavour::mariadb;
  const char* replica = mariadb ? "rpl_semi_sync_slave_enabled" : "rpl_semi_sync_replica_enabled";
  const char* source = mariadb ? "rpl_semi_sync_master_" : "rpl_semi_sync_source_";
  if (mode == conf::SemiSync::off) {
    return {concat("SET GLOBAL ", replica, " = OFF, ", source, "enabled = OFF, read_only = OFF")};
  }
  return {concat("SET GLOBAL ", replica, " = OFF, ", source, "wait_point = AFTER_SYNC, ", source,
                 "... (as semi_sync = \"", word(mode), "\" needs them), ", source,
                 "enabled = ON, read_only = OFF")};
}

std::vector<std::string> follow_statements(Admin& replica, const core::Follow& order,
                                           const conf::Account& replication) {
  auto& dialect = replica.session().dialect();
  const bool mariadb = dialect.flavour() == core::Flavour::mariadb;
  const char* enabled = order.semi_sync == conf::SemiSync::off ? "OFF" : "ON";
  std::vector<std::string> list{concat("SET GLOBAL ", mariadb ? "read_only" : "super_read_only", " = ON"),
                                dialect.stop_replication()};
  list.push_back(concat("SET GLOBAL ",
                        mariadb ? "rpl_semi_sync_slave_enabled" : "rpl_semi_sync_replica_enabled", " = ",
                        enabled));
  if (mariadb) list.emplace_back("SET GLOBAL gtid_slave_pos = '...' (what it has then)");
  const auto heartbeat = std::chrono::milliseconds(500);
  list.push_back(dialect.set_source({order.source, replication, heartbeat}).shown);
  list.push_back(dialect.start_replication());
  return list;
}

}  // namespace pointsman::setup
