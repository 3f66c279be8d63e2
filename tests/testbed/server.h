#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"
#include "tests/testbed/sql.h"

namespace pointsman::testbed {

enum class Product { mariadb, mysql };
const char* to_string(Product product);
void PrintTo(Product product, std::ostream* out);  // GoogleTest's name for "how to show it"
std::expected<Product, std::string> parse_product(std::string_view name);

// A real database server in a folder of its own, on a port of 127.0.0.1, with the durability of production
// (sync_binlog=1, innodb_flush_log_at_trx_commit=1), GTIDs on, and read-only from boot. It ends with this
// object, or with this process. Nothing of the system's own server is read or written. One thread at a time.
class Server {
 public:
  struct Options {
    Product product = Product::mariadb;
    std::string name = "server";
    std::filesystem::path directory{};  // made for it; "": a fresh one under the temporary directory
    std::uint32_t server_id = 1;
    std::uint16_t port = 0;               // 0: a free one, kept over restarts
    std::vector<std::string> settings{};  // further lines for my.cnf, which win over ours
    // The address that it binds, and a network namespace to run in: a host of a Network. connect() works from
    // within that namespace only; root() goes by the socket, from anywhere.
    std::string host = "127.0.0.1";
    std::filesystem::path network_namespace{};
    bool keep = false;  // leave the folder behind
    Millis start_timeout{60000};
    Millis stop_timeout{30000};
  };

  // Makes the data directory (a copy of a cached one) and my.cnf; does not start.
  static std::expected<std::unique_ptr<Server>, std::string> prepare(Options options);
  // prepare() and start().
  static std::expected<std::unique_ptr<Server>, std::string> create(Options options);

  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // On the data that is there; returns when it answers a login. Error: what failed, and the end of the
  // server's log.
  std::expected<void, std::string> start();
  // start() in two parts, so that several servers start side by side.
  std::expected<void, std::string> launch();
  std::expected<void, std::string> wait_ready();

  // SIGTERM and a bounded wait; one that does not end in time is killed, and that is an error.
  std::expected<void, std::string> stop();
  void kill();            // SIGKILL; returns when the process has ended
  bool send(int signal);  // false: it does not run
  bool freeze();          // SIGSTOP; returns when every thread stands still
  bool thaw();            // SIGCONT
  bool running();

  // my.cnf's further lines for the next start.
  std::expected<void, std::string> set_settings(std::vector<std::string> settings);

  Product product() const { return options_.product; }
  const std::string& name() const { return options_.name; }
  std::uint32_t server_id() const { return options_.server_id; }
  pid_t pid() const { return process_.pid(); }
  conf::HostPort address() const { return {options_.host, port_}; }
  const std::filesystem::path& directory() const { return directory_.path(); }
  std::filesystem::path data_directory() const { return directory() / "data"; }
  std::filesystem::path socket_path() const { return directory() / "mysqld.sock"; }
  std::filesystem::path error_log() const { return directory() / "error.log"; }
  std::string error_log_tail(std::size_t lines = 40) const;

  // A new connection by the socket as root, who may do everything.
  std::expected<Sql, SqlError> root() const;
  // A new connection by TCP.
  std::expected<Sql, SqlError> connect(const Login& login, const std::string& database = "") const;

 private:
  Server(Options options, TempDirectory directory, PortLease lease, std::uint16_t port);
  std::expected<void, std::string> write_configuration() const;

  Options options_;
  TempDirectory directory_;
  PortLease lease_;
  std::uint16_t port_;
  std::vector<std::string> command_;                // program and what comes before the options
  std::vector<std::string> installation_settings_;  // where the product keeps its own files
  Process process_;
};

}  // namespace pointsman::testbed
