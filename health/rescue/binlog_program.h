#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

namespace pointsman::rescue {

// mariadb-binlog or mysqlbinlog as a child process: what it writes is handed over piece by piece, and it ends
// in time. Blocks. It ends with us (PR_SET_PDEATHSIG), so that no orphan keeps a connection to the server.
class BinlogProgram {
 public:
  // The program's path, found in PATH when it has no slash; "": the flavour's own. Kind unsupported when
  // there is none.
  static std::expected<BinlogProgram, core::Failure> find(const std::string& name, core::Flavour flavour);

  struct Run {
    std::vector<std::string> arguments;
    std::string options{};  // an option file that nobody else can read; "": none
    // Named pipes that the program opens and writes one after another, each to its end; empty: its standard
    // output is read.
    std::vector<std::filesystem::path> pipes{};
    core::Instant deadline{};
    core::Duration silence{};  // without a byte for that long it is killed; 0: no such limit
    std::stop_token stop{};
  };
  // `source`: which pipe. What it says ends the run.
  using Take = std::function<std::expected<void, core::Failure>(std::size_t source, std::string_view bytes)>;

  // Everything was handed over and the program said that it went well. Else: what `take` said, or kind
  // timeout, or unsupported with what the program printed.
  std::expected<void, core::Failure> run(const Run& run, const Take& take) const;

  // It is MySQL's own. MariaDB's goes by MySQL's name in Debian; it reads MySQL's binary log files too, but
  // not from a MySQL server.
  std::expected<bool, core::Failure> is_mysqls(core::Instant deadline, const std::stop_token& stop) const;

  const std::string& path() const { return path_; }

 private:
  explicit BinlogProgram(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

// The option file for reading from a server.
std::string connection_options(const conf::HostPort& address, const conf::Account& account,
                               core::Flavour flavour);

}  // namespace pointsman::rescue
