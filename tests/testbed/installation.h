#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/testbed/server.h"

namespace pointsman::testbed {

// Where a product's server comes from on this machine, and the data directory that its servers start from.
//   MariaDB: $POINTSMAN_MARIADBD, or mariadbd of the package mariadb-server-core
//   MySQL:   the sid tree of get-mysql ($POINTSMAN_MYSQL_ROOT, or "sid" in the cache folder)
struct Installation {
  Product product;
  std::vector<std::string> command;   // the server's program; option files and options follow
  std::vector<std::string> settings;  // lines of my.cnf that tell the server where its own files are
  std::string version;                // as the server prints it

  // Error: what is missing and how to get it.
  static std::expected<Installation, std::string> find(Product product);

  // Makes `data` a fresh data directory: root may log in by the unix socket without a password, and there is
  // no other account. A copy of a template in the cache folder, which the first caller makes; safe for
  // callers in parallel.
  std::expected<void, std::string> make_data_directory(const std::filesystem::path& data) const;

 private:
  std::expected<std::filesystem::path, std::string> find_or_make_template() const;
  std::expected<void, std::string> initialise(const std::filesystem::path& work) const;
  std::vector<std::string> initialise_command(const std::filesystem::path& work) const;
};

// A script at `path` that runs the mysqlbinlog of the MySQL server that is used here, for
// `failover.binlog_program`.
std::expected<void, std::string> write_mysqlbinlog(const std::filesystem::path& path);

}  // namespace pointsman::testbed
