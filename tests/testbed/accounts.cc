#include "tests/testbed/accounts.h"

namespace pointsman::testbed {

namespace {

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::string account(const Login& login) {
  return quote(login.user) + "@'%'";
}

}  // namespace

// Each is needed: accounts_test.cc takes every one away in turn and sees something refused.
//
// Not in the lists, as few need it and it is a lot to give: MariaDB's SUPER, only for SET GLOBAL
// event_scheduler; have event_scheduler=ON in my.cnf of every server instead, as replicated events stay
// disabled on a replica until they are enabled one by one, which EVENT allows.
const std::vector<std::string_view>& monitor_privileges(Product product) {
  static const std::vector<std::string_view> mariadb{
      "SLAVE MONITOR",             // SHOW ALL SLAVES STATUS
      "REPLICATION SLAVE ADMIN",   // START, STOP SLAVE, CHANGE MASTER, gtid_slave_pos, semi-sync as a replica
      "REPLICATION MASTER ADMIN",  // semi-sync as a primary
      "READ_ONLY ADMIN",           // read_only
      "CONNECTION ADMIN",          // KILL, a place when max_connections are in use
      "PROCESS",                   // clients of other accounts in the processlist
      "RELOAD",                    // RESET SLAVE ALL
      "EVENT",                     // ALTER EVENT ... ENABLE on the new primary
      "SET USER",                  // and leave the event its definer
      "BINLOG MONITOR",            // which binary logs hold a returned primary's own transactions
      "BINLOG REPLAY",             // and to undo them
  };
  static const std::vector<std::string_view> mysql{
      "REPLICATION CLIENT",       // SHOW REPLICA STATUS
      "REPLICATION_SLAVE_ADMIN",  // START, STOP REPLICA, CHANGE REPLICATION SOURCE
      "SYSTEM_VARIABLES_ADMIN",   // super_read_only, read_only, semi-sync, gtid_purged, event_scheduler,
                                  // sql_log_bin
      "CONNECTION_ADMIN",         // KILL, offline_mode, a place when max_connections are in use
      "PROCESS",                  // clients of other accounts in the processlist
      "RELOAD",                   // RESET REPLICA ALL
      "EVENT",                    // ALTER EVENT ... ENABLE on the new primary
      "SET_ANY_DEFINER",          // and leave the event its definer; SET_USER_ID before MySQL 8.2
      "BINLOG_ADMIN",             // to undo a returned primary's own transactions
      "SYSTEM_USER",  // KILL of an applier, and of clients that have it (root); since MySQL 8.0.16
  };
  return product == Product::mariadb ? mariadb : mysql;
}

const std::vector<std::string_view>& replication_privileges(Product) {
  static const std::vector<std::string_view> both{"REPLICATION SLAVE"};
  return both;
}

std::vector<std::string> account_statements(Product product, const Accounts& accounts) {
  std::vector<std::string> statements;
  const auto create = [&statements](const Login& login) {
    statements.push_back("CREATE USER " + account(login) + " IDENTIFIED BY " + quote(login.password));
  };
  create(accounts.monitor);
  statements.push_back("GRANT " + join(monitor_privileges(product)) + " ON *.* TO " +
                       account(accounts.monitor));
  // The transaction that changes nothing.
  statements.push_back("GRANT SELECT, INSERT, DELETE ON mysql.innodb_table_stats TO " +
                       account(accounts.monitor));
  if (product == Product::mysql) {
    // replication_connection_status: the time and the number of what came from the source, heartbeats too.
    statements.push_back("GRANT SELECT ON performance_schema.* TO " + account(accounts.monitor));
    // To take back a diverged server by a fresh copy; the plugin is installed by whoever grants this.
    statements.push_back("GRANT CLONE_ADMIN ON *.* TO " + account(accounts.monitor));
  }
  create(accounts.replication);
  statements.push_back("GRANT " + join(replication_privileges(product)) + " ON *.* TO " +
                       account(accounts.replication));
  // The other side of that copy.
  if (product == Product::mysql)
    statements.push_back("GRANT BACKUP_ADMIN ON *.* TO " + account(accounts.replication));
  statements.push_back("CREATE DATABASE " + accounts.database);
  create(accounts.application);
  statements.push_back("GRANT ALL ON " + accounts.database + ".* TO " + account(accounts.application));
  return statements;
}

}  // namespace pointsman::testbed
