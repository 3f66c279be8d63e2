#include "tests/testbed/server.h"

#include <csignal>
#include <ostream>
#include <thread>
#include <utility>

#include <unistd.h>

#include "tests/testbed/installation.h"

namespace pointsman::testbed {

namespace fs = std::filesystem;

namespace {

// What the product's README recommends to operators; both products.
constexpr const char* common_settings = R"(log_bin = binlog
relay_log = relay
binlog_format = ROW
sync_binlog = 1
innodb_flush_log_at_trx_commit = 1
relay_log_recovery = 1
read_only = 1
skip_name_resolve
max_connections = 600
)";

constexpr const char* mariadb_settings = R"(gtid_strict_mode = 1
log_slave_updates = 1
)";

constexpr const char* mysql_settings = R"(gtid_mode = ON
enforce_gtid_consistency = ON
log_replica_updates = ON
super_read_only = 1
plugin_load_add = semisync_source.so;semisync_replica.so;mysql_clone.so
)";

// What only makes throwaway servers small and quick: most of the time of a start is spent in filling buffers
// with zeros. Durability is above, and untouched.
constexpr const char* common_economies = R"(innodb_buffer_pool_size = 64M
innodb_log_buffer_size = 2M
innodb_buffer_pool_dump_at_shutdown = 0
innodb_buffer_pool_load_at_startup = 0
)";

constexpr const char* mariadb_economies = R"(innodb_log_file_size = 16M
key_buffer_size = 1M
aria_pagecache_buffer_size = 8M
performance_schema = OFF
open_files_limit = 4096
)";

// performance_schema stays on: without it MySQL 9 has no replication tables and no processlist that needs no
// global lock. Its instruments cost memory and time at each start.
constexpr const char* mysql_economies = R"(innodb_redo_log_capacity = 16M
performance_schema = ON
performance_schema_instrument = '%=OFF'
performance_schema_consumer_global_instrumentation = OFF
performance_schema_max_table_instances = 200
performance_schema_max_thread_instances = 700
performance_schema_digests_size = 10
performance_schema_events_statements_history_long_size = 0
performance_schema_events_transactions_history_long_size = 0
performance_schema_events_waits_history_long_size = 0
performance_schema_events_stages_history_long_size = 0
performance_schema_events_statements_history_size = 0
performance_schema_events_transactions_history_size = 0
performance_schema_events_waits_history_size = 0
performance_schema_events_stages_history_size = 0
performance_schema_error_size = 0
performance_schema_max_memory_classes = 0
performance_schema_users_size = 10
performance_schema_accounts_size = 10
performance_schema_hosts_size = 10
performance_schema_session_connect_attrs_size = 0
innodb_doublewrite_pages = 8
mysqlx = OFF
secure_file_priv = NULL
)";

constexpr Millis ready_pause{3};

// connect() to a unix socket with a longer path fails in a way that names no reason.
constexpr std::size_t max_socket_path = 107;

}  // namespace

const char* to_string(Product product) {
  return product == Product::mariadb ? "mariadb" : "mysql";
}

void PrintTo(Product product, std::ostream* out) {
  *out << to_string(product);
}

std::expected<Product, std::string> parse_product(std::string_view name) {
  if (name == "mariadb") return Product::mariadb;
  if (name == "mysql") return Product::mysql;
  return std::unexpected("no product '" + std::string(name) + "'; one of: mariadb, mysql");
}

Server::Server(Options options, TempDirectory directory, PortLease lease, std::uint16_t port)
    : options_(std::move(options)), directory_(std::move(directory)), lease_(std::move(lease)), port_(port) {
  if (options_.keep) directory_.keep();
}

Server::~Server() {
  process_.kill();
}

std::expected<std::unique_ptr<Server>, std::string> Server::prepare(Options options) {
  const auto installation = Installation::find(options.product);
  if (!installation) return std::unexpected(installation.error());
  auto directory = options.directory.empty() ? TempDirectory::create(options.name)
                                             : TempDirectory::create_at(options.directory);
  if (!directory) return std::unexpected(directory.error());
  PortLease lease;
  if (options.port == 0) {
    auto picked = PortLease::pick();
    if (!picked) return std::unexpected(picked.error());
    lease = std::move(*picked);
  }
  const std::uint16_t port = options.port != 0 ? options.port : lease.number();
  std::unique_ptr<Server> server(
      new Server(std::move(options), std::move(*directory), std::move(lease), port));
  if (server->socket_path().native().size() > max_socket_path) {
    return std::unexpected("the path of the socket is too long for a unix socket: " +
                           server->socket_path().string());
  }
  server->command_ = installation->command;
  server->installation_settings_ = installation->settings;
  if (auto made = installation->make_data_directory(server->data_directory()); !made) {
    return std::unexpected(made.error());
  }
  if (auto written = server->write_configuration(); !written) return std::unexpected(written.error());
  return server;
}

std::expected<std::unique_ptr<Server>, std::string> Server::create(Options options) {
  auto server = prepare(std::move(options));
  if (!server) return server;
  if (auto started = (*server)->start(); !started) return std::unexpected(started.error());
  return server;
}

std::expected<void, std::string> Server::write_configuration() const {
  const bool mariadb = options_.product == Product::mariadb;
  std::string text = "[mysqld]\n";
  const auto line = [&text](const std::string& setting) { text += setting + "\n"; };
  line("datadir = " + data_directory().string());
  line("socket = " + socket_path().string());
  line("pid_file = " + (directory() / "mysqld.pid").string());
  line("log_error = " + error_log().string());
  line("tmpdir = " + directory().string());
  line("port = " + std::to_string(port_));
  line("server_id = " + std::to_string(options_.server_id));
  line("bind_address = " + options_.host);
  line("report_host = " + options_.host);
  line("report_port = " + std::to_string(port_));
  for (const std::string& setting : installation_settings_) line(setting);
  text += common_settings;
  text += mariadb ? mariadb_settings : mysql_settings;
  text += common_economies;
  text += mariadb ? mariadb_economies : mysql_economies;
  for (const std::string& setting : options_.settings) line(setting);
  return write_file(directory() / "my.cnf", text, 0644);
}

std::expected<void, std::string> Server::set_settings(std::vector<std::string> settings) {
  options_.settings = std::move(settings);
  return write_configuration();
}

std::expected<void, std::string> Server::launch() {
  if (running()) return std::unexpected(options_.name + " runs already");
  std::vector<std::string> argv = command_;
  argv.push_back("--defaults-file=" + (directory() / "my.cnf").string());
  if (::geteuid() == 0) argv.emplace_back("--user=root");
  auto process = Process::start({.argv = std::move(argv),
                                 .directory = directory(),
                                 .output = error_log(),
                                 .network_namespace = options_.network_namespace});
  if (!process) return std::unexpected("cannot start " + options_.name + ": " + process.error());
  process_ = std::move(*process);
  return {};
}

std::expected<void, std::string> Server::wait_ready() {
  const auto deadline = std::chrono::steady_clock::now() + options_.start_timeout;
  std::string last;
  while (std::chrono::steady_clock::now() < deadline) {
    if (!running()) {
      return std::unexpected(options_.name + " ended while starting (" +
                             std::to_string(process_.end()->code) + "); its log says:\n" + error_log_tail());
    }
    if (const auto sql = root())
      return {};
    else
      last = sql.error().text;
    std::this_thread::sleep_for(ready_pause);
  }
  return std::unexpected(options_.name + " does not answer: " + last + "; its log says:\n" +
                         error_log_tail());
}

std::expected<void, std::string> Server::start() {
  if (auto launched = launch(); !launched) return launched;
  return wait_ready();
}

std::expected<void, std::string> Server::stop() {
  if (!running()) return {};
  thaw();  // a frozen process gets no SIGTERM
  send(SIGTERM);
  if (process_.wait(options_.stop_timeout)) return {};
  kill();
  return std::unexpected(options_.name + " did not stop in time and was killed; its log says:\n" +
                         error_log_tail());
}

void Server::kill() {
  process_.kill();
}
bool Server::send(int signal) {
  return process_.send(signal);
}
bool Server::freeze() {
  return process_.freeze();
}
bool Server::thaw() {
  return send(SIGCONT);
}
bool Server::running() {
  return process_.running();
}

std::string Server::error_log_tail(std::size_t lines) const {
  return last_lines(read_tail(error_log(), std::size_t{256} << 10), lines);
}

std::expected<Sql, SqlError> Server::root() const {
  return Sql::connect({.socket = socket_path()});
}

std::expected<Sql, SqlError> Server::connect(const Login& login, const std::string& database) const {
  return Sql::connect({.address = address(), .login = login, .database = database});
}

}  // namespace pointsman::testbed
