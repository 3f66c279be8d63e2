#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::bench {

// Debian's HAProxy as a plain TCP relay in front of one server, set up to compare fairly: as many threads as
// Pointsman has, no logs, no checks, room for all connections, keepalive as Pointsman sets it. Ends with this
// object. One thread. `under`: words before its own, of a program that runs it.
class Haproxy {
 public:
  static std::expected<std::unique_ptr<Haproxy>, std::string> start(const conf::HostPort& server,
                                                                    unsigned threads,
                                                                    unsigned max_connections,
                                                                    std::vector<std::string> under = {});

  Haproxy(const Haproxy&) = delete;
  Haproxy& operator=(const Haproxy&) = delete;

  conf::HostPort address() const { return {"127.0.0.1", listen_.number()}; }
  pid_t pid() const { return process_.pid(); }
  const std::string& configuration() const { return configuration_; }
  const std::string& version() const { return version_; }

 private:
  Haproxy(testbed::TempDirectory directory, testbed::PortLease listen)
      : directory_(std::move(directory)), listen_(std::move(listen)) {}

  testbed::TempDirectory directory_;
  testbed::PortLease listen_;
  std::string configuration_;
  std::string version_;
  testbed::Process process_;
};

// Its configuration. Pure.
std::string haproxy_configuration(const conf::HostPort& listen, const conf::HostPort& server,
                                  unsigned threads, unsigned max_connections);

}  // namespace pointsman::bench
