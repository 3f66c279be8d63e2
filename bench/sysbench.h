#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "bench/workload.h"
#include "conf/config.h"
#include "tests/testbed/files.h"
#include "tests/testbed/sql.h"

namespace pointsman::bench {

struct SysbenchFigures {
  double queries = 0;  // in the whole measured time
  double queries_per_second = 0;
  double latency_avg_ms = 0;
  double latency_p95_ms = 0;
  double errors = 0;  // transactions that the server undid and that were begun again
};

// Out of what sysbench 1.0 prints at the end of a run. Pure. Error: a figure is not there.
std::expected<SysbenchFigures, std::string> parse_sysbench(const std::string& output);

// Debian's sysbench, as a child process. One thread.
class Sysbench {
 public:
  struct Options {
    testbed::Login login;
    std::string database;
    unsigned table_size = 10000;  // rows; all of them fit into every cache
  };

  static std::expected<Sysbench, std::string> create(Options options);

  // The tables of all workloads.
  std::expected<void, std::string> prepare(const conf::HostPort& server) const;
  // Error: there were errors, but for deadlocks, which read-write has with or without a proxy.
  std::expected<SysbenchFigures, std::string> run(const conf::HostPort& address, Workload workload,
                                                  unsigned clients, std::chrono::seconds time) const;
  // So many transactions, however long they take; at most `timeout`.
  std::expected<SysbenchFigures, std::string> run(const conf::HostPort& address, Workload workload,
                                                  unsigned clients, unsigned events,
                                                  std::chrono::seconds timeout) const;

 private:
  Sysbench(Options options, testbed::TempDirectory scripts)
      : options_(std::move(options)), scripts_(std::move(scripts)) {}
  std::expected<std::string, std::string> call(const conf::HostPort& address, Workload workload,
                                               std::vector<std::string> arguments,
                                               std::chrono::seconds timeout) const;
  std::string lua_file(Workload workload) const;

  Options options_;
  testbed::TempDirectory scripts_;
};

}  // namespace pointsman::bench
