#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/testbed/accounts.h"
#include "tests/testbed/server.h"

namespace pointsman::testbed {

// A primary and its replicas, replicating by GTID, configured as the README recommends and proven by a row
// that arrived. Server 0 starts as the primary; what happens later is the caller's business. One thread at a
// time.
class Cluster {
 public:
  struct Options {
    Product product = Product::mariadb;
    unsigned servers = 2;
    std::filesystem::path directory{};    // "": a fresh one under the temporary directory
    std::vector<std::string> settings{};  // further lines for each server's my.cnf
    std::vector<std::string> names{};     // default db1, db2, ...
    // Where each server runs, in their order; those without one on 127.0.0.1 here.
    struct Place {
      std::string host;                         // the address that it binds
      std::filesystem::path network_namespace;  // of a Network
    };
    std::vector<Place> places{};
    // Replicas acknowledge and the primary waits for one of them without end. Each server boots as a replica
    // that acknowledges.
    bool semi_sync = false;
    bool keep = false;
    Accounts accounts{};
  };

  static std::expected<std::unique_ptr<Cluster>, std::string> create(Options options);

  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  Product product() const { return options_.product; }
  std::size_t size() const { return servers_.size(); }
  Server& server(std::size_t i) { return *servers_.at(i); }
  Server* find(const std::string& name);  // nullptr: none of that name
  const Accounts& accounts() const { return options_.accounts; }
  const std::filesystem::path& directory() const { return directory_.path(); }

  // `replica` follows `source` by GTID, as root.
  std::expected<void, std::string> follow(Server& replica, const Server& source);
  // Waits, inside the server, until `replica` has applied all that `source` has now.
  std::expected<void, std::string> wait_caught_up(const Server& replica, const Server& source,
                                                  std::chrono::seconds timeout);
  // As root. MySQL: super_read_only too.
  std::expected<void, std::string> set_writable(const Server& server, bool writable);

 private:
  Cluster(Options options, TempDirectory directory)
      : options_(std::move(options)), directory_(std::move(directory)) {}
  std::expected<void, std::string> boot();
  std::expected<void, std::string> replicate();
  std::expected<void, std::string> enable_semi_sync();
  std::expected<void, std::string> prove();

  Options options_;
  TempDirectory directory_;  // outlives the servers in it
  std::vector<std::unique_ptr<Server>> servers_;
};

// The product's words for what both can do.
std::string follow_statement(Product product, const conf::HostPort& source, const Login& replication);
const char* start_replication(Product product);
const char* stop_replication(Product product);
const char* show_replication(Product product);
// Everything committed on this server: gtid_current_pos's binlog state on MariaDB, gtid_executed on MySQL.
std::expected<std::string, SqlError> executed_gtids(Sql& sql, Product product);

}  // namespace pointsman::testbed
