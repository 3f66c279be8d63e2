#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "bench/stage.h"
#include "conf/config.h"
#include "tests/testbed/sql.h"

// Servers, a daemon and clients for very many sessions.
namespace pointsman::bench {

// How many idle sessions beside so many busy ones the limit of open files allows, which is raised as far as
// it may be; proxies and servers that are started afterwards inherit it.
unsigned affordable_sessions(unsigned idle, unsigned busy);
// What a proxy and the server must accept for that, with some to spare.
unsigned stage_connections(unsigned sessions);
// A pool of threads in the server, as it could not have one for each.
Stage::Options stage_for_sessions(unsigned threads, unsigned sessions);
// Logs in one after another, into `sessions`.
std::expected<void, std::string> open_idle(unsigned count, const conf::HostPort& address,
                                           const testbed::Login& login, const std::function<bool()>& stop,
                                           std::vector<testbed::Sql>& sessions);

}  // namespace pointsman::bench
