#include "tests/testbed/cluster.h"

#include <thread>
#include <utility>

namespace pointsman::testbed {

namespace {

constexpr std::chrono::seconds proof_timeout{30};
constexpr Millis semi_sync_timeout{20000};

std::vector<std::string> semi_sync_settings(Product product) {
  // The largest that both accept without a warning: about 49 days, in ms.
  constexpr const char* without_end = "4294967295";
  if (product == Product::mariadb) {
    return {"rpl_semi_sync_slave_enabled = 1", "init_rpl_role = SLAVE",
            "rpl_semi_sync_master_wait_point = AFTER_SYNC",
            std::string("rpl_semi_sync_master_timeout = ") + without_end};
  }
  return {"rpl_semi_sync_replica_enabled = 1", "rpl_semi_sync_source_wait_point = AFTER_SYNC",
          std::string("rpl_semi_sync_source_timeout = ") + without_end};
}

std::expected<void, std::string> as_text(std::expected<void, SqlError> done, const std::string& server) {
  if (done) return {};
  return std::unexpected(server + ": " + done.error().text);
}

std::expected<void, std::string> on(const Server& server, const std::vector<std::string>& statements) {
  auto sql = server.root();
  if (!sql) return std::unexpected(server.name() + ": " + sql.error().text);
  return as_text(sql->execute_all(statements), server.name());
}

}  // namespace

std::string follow_statement(Product product, const conf::HostPort& source, const Login& replication) {
  const std::string host = quote(source.host);
  const std::string port = std::to_string(source.port);
  const std::string user = quote(replication.user);
  const std::string password = quote(replication.password);
  if (product == Product::mariadb) {
    return "CHANGE MASTER TO MASTER_HOST=" + host + ", MASTER_PORT=" + port + ", MASTER_USER=" + user +
           ", MASTER_PASSWORD=" + password +
           ", MASTER_USE_GTID=slave_pos, MASTER_HEARTBEAT_PERIOD=0.5, MASTER_CONNECT_RETRY=1";
  }
  return "CHANGE REPLICATION SOURCE TO SOURCE_HOST=" + host + ", SOURCE_PORT=" + port +
         ", SOURCE_USER=" + user + ", SOURCE_PASSWORD=" + password +
         ", SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_HEARTBEAT_PERIOD=0.5, "
         "SOURCE_CONNECT_RETRY=1, "
         "SOURCE_RETRY_COUNT=0";
}

const char* start_replication(Product product) {
  return product == Product::mariadb ? "START SLAVE" : "START REPLICA";
}
const char* stop_replication(Product product) {
  return product == Product::mariadb ? "STOP SLAVE" : "STOP REPLICA";
}
const char* show_replication(Product product) {
  return product == Product::mariadb ? "SHOW SLAVE STATUS" : "SHOW REPLICA STATUS";
}

std::expected<std::string, SqlError> executed_gtids(Sql& sql, Product product) {
  return sql.scalar(product == Product::mariadb ? "SELECT @@GLOBAL.gtid_binlog_pos"
                                                : "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')");
}

Cluster::~Cluster() = default;

std::expected<std::unique_ptr<Cluster>, std::string> Cluster::create(Options options) {
  if (options.servers == 0) return std::unexpected("a cluster needs a server");
  auto directory = options.directory.empty() ? TempDirectory::create(to_string(options.product))
                                             : TempDirectory::create_at(options.directory);
  if (!directory) return std::unexpected(directory.error());
  if (options.keep) directory->keep();
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(options), std::move(*directory)));
  if (auto booted = cluster->boot(); !booted) return std::unexpected(booted.error());
  if (auto replicating = cluster->replicate(); !replicating) return std::unexpected(replicating.error());
  if (auto proven = cluster->prove(); !proven) return std::unexpected(proven.error());
  return cluster;
}

std::expected<void, std::string> Cluster::boot() {
  std::vector<std::string> settings;
  if (options_.semi_sync) settings = semi_sync_settings(options_.product);
  settings.insert(settings.end(), options_.settings.begin(), options_.settings.end());
  for (unsigned i = 0; i < options_.servers; ++i) {
    const std::string name = i < options_.names.size() ? options_.names[i] : "db" + std::to_string(i + 1);
    const auto place = i < options_.places.size()
                           ? options_.places[i]
                           : Options::Place{.host = "127.0.0.1", .network_namespace = {}};
    auto server = Server::prepare({.product = options_.product,
                                   .name = name,
                                   .directory = directory() / name,
                                   .server_id = i + 1,
                                   .settings = settings,
                                   .host = place.host,
                                   .network_namespace = place.network_namespace,
                                   .keep = options_.keep});
    if (!server) return std::unexpected(server.error());
    // Started before the next is prepared: the copying of one overlaps the starting of another.
    if (auto launched = (*server)->launch(); !launched) return launched;
    servers_.push_back(std::move(*server));
  }
  for (const auto& server : servers_) {
    if (auto ready = server->wait_ready(); !ready) return ready;
  }
  return {};
}

std::expected<void, std::string> Cluster::set_writable(const Server& server, bool writable) {
  const std::string value = writable ? "OFF" : "ON";
  const char* name = options_.product == Product::mariadb ? "read_only" : "super_read_only";
  std::vector<std::string> statements{std::string("SET GLOBAL ") + name + " = " + value};
  // On MySQL read_only=OFF takes super_read_only with it, but not the reverse.
  if (writable) statements.emplace_back("SET GLOBAL read_only = OFF");
  return on(server, statements);
}

std::expected<void, std::string> Cluster::follow(Server& replica, const Server& source) {
  return on(replica, {follow_statement(options_.product, source.address(), options_.accounts.replication),
                      start_replication(options_.product)});
}

std::expected<void, std::string> Cluster::replicate() {
  Server& primary = *servers_.front();
  if (auto done = set_writable(primary, true); !done) return done;
  // The replicas get them by replication, as they begin at the primary's first transaction.
  if (auto done = on(primary, account_statements(options_.product, options_.accounts)); !done) return done;
  for (std::size_t i = 1; i < servers_.size(); ++i) {
    if (auto done = follow(*servers_[i], primary); !done) return done;
  }
  if (!options_.semi_sync || servers_.size() == 1) return {};
  return enable_semi_sync();
}

std::expected<void, std::string> Cluster::enable_semi_sync() {
  Server& primary = *servers_.front();
  const bool mariadb = options_.product == Product::mariadb;
  auto sql = primary.root();
  if (!sql) return std::unexpected(primary.name() + ": " + sql.error().text);
  const auto enabled = sql->execute(mariadb ? "SET GLOBAL rpl_semi_sync_master_enabled = ON"
                                            : "SET GLOBAL rpl_semi_sync_source_enabled = ON");
  if (!enabled) return std::unexpected(primary.name() + ": " + enabled.error().text);
  const std::string count = mariadb ? "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'"
                                    : "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_clients'";
  const auto deadline = std::chrono::steady_clock::now() + semi_sync_timeout;
  std::string seen;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto row = sql->query(count);
    if (!row) return std::unexpected(primary.name() + ": " + row.error().text);
    seen = row->value("Value");
    if (seen == std::to_string(servers_.size() - 1)) return {};
    std::this_thread::sleep_for(Millis(5));  // no event tells
  }
  return std::unexpected(primary.name() + " sees only " + seen + " replicas that acknowledge");
}

std::expected<void, std::string> Cluster::wait_caught_up(const Server& replica, const Server& source,
                                                         std::chrono::seconds timeout) {
  auto from = source.root();
  if (!from) return std::unexpected(source.name() + ": " + from.error().text);
  const auto position = executed_gtids(*from, options_.product);
  if (!position) return std::unexpected(source.name() + ": " + position.error().text);
  auto sql = Sql::connect({.socket = replica.socket_path(), .timeout = timeout + std::chrono::seconds(5)});
  if (!sql) return std::unexpected(replica.name() + ": " + sql.error().text);
  const std::string seconds = std::to_string(timeout.count());
  const auto answer =
      sql->scalar(options_.product == Product::mariadb
                      ? "SELECT MASTER_GTID_WAIT(" + quote(*position) + ", " + seconds + ")"
                      : "SELECT WAIT_FOR_EXECUTED_GTID_SET(" + quote(*position) + ", " + seconds + ")");
  if (!answer) return std::unexpected(replica.name() + ": " + answer.error().text);
  if (*answer == "0") return {};
  const auto status = sql->query(show_replication(options_.product));
  std::string why;
  if (status) {
    for (const char* column : {"Last_IO_Error", "Last_SQL_Error", "Slave_IO_State", "Replica_IO_State"}) {
      if (const std::string value = status->value(column); !value.empty()) why += "; " + value;
    }
  }
  return std::unexpected(replica.name() + " has not applied " + *position + " within " + seconds + " s" +
                         why);
}

std::expected<void, std::string> Cluster::prove() {
  const Server& primary = *servers_.front();
  const std::string table = options_.accounts.database + ".proof";
  if (auto done = on(primary, {"CREATE TABLE " + table + " (id INT PRIMARY KEY)",
                               "INSERT INTO " + table + " VALUES (42)"});
      !done) {
    return done;
  }
  for (std::size_t i = 1; i < servers_.size(); ++i) {
    if (auto done = wait_caught_up(*servers_[i], primary, proof_timeout); !done) return done;
    auto sql = servers_[i]->root();
    if (!sql) return std::unexpected(servers_[i]->name() + ": " + sql.error().text);
    const auto value = sql->scalar("SELECT id FROM " + table);
    if (!value || *value != "42") {
      return std::unexpected(servers_[i]->name() + " has caught up, but the row is not there");
    }
  }
  if (auto done = on(primary, {"DROP TABLE " + table}); !done) return done;
  for (std::size_t i = 1; i < servers_.size(); ++i) {
    if (auto done = wait_caught_up(*servers_[i], primary, proof_timeout); !done) return done;
  }
  return {};
}

Server* Cluster::find(const std::string& name) {
  for (const auto& server : servers_) {
    if (server->name() == name) return server.get();
  }
  return nullptr;
}

}  // namespace pointsman::testbed
