#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "conf/config.h"
#include "tests/testbed/sql.h"

namespace pointsman::bench {

struct SysbenchFigures {
  double queries = 0;  // in the whole measured time
  double queries_per_second = 0;
  double latency_avg_ms = 0;
  double latency_p95_ms = 0;
};

// Out of what sysbench 1.0 prints at the end of a run. Pure. Error: a figure is not there, or there were
// errors.
std::expected<SysbenchFigures, std::string> parse_sysbench(const std::string& output);

// oltp_point_select of Debian's sysbench, as a child process. One thread.
class Sysbench {
 public:
  struct Options {
    testbed::Login login;
    std::string database;
    unsigned table_size = 10000;  // rows; all of them fit into every cache
  };

  explicit Sysbench(Options options) : options_(std::move(options)) {}

  std::expected<void, std::string> prepare(const conf::HostPort& server) const;
  std::expected<SysbenchFigures, std::string> run(const conf::HostPort& address, unsigned clients,
                                                  std::chrono::seconds time) const;

 private:
  std::expected<std::string, std::string> call(const conf::HostPort& address,
                                               std::vector<std::string> arguments,
                                               std::chrono::seconds timeout) const;

  Options options_;
};

}  // namespace pointsman::bench
