#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// Do the servers hold the same rows? All user tables of the primary and its replicas are compared by
// checksums, chunk by chunk in the order of their keys, each at one GTID position, while writes and
// replication go on.
//
// How, and why so. A chunk is read on the primary, then the primary's GTID position; a replica that has
// applied it reads the same chunk. Equal sums are proof enough. Unequal ones may be due to writes in between,
// so they are asked again, and only a difference counts that was seen several times in a row while the
// primary's own sum stayed the same. A chunk that changes faster than that is locked for reading on the
// primary (LOCK IN SHARE MODE) for the moment that the replica takes to arrive: at most `lock_limit`, and at
// most `chunk_rows` rows.
//
// pt-table-checksum, the known tool, writes instead: a checksum statement replicated as a statement and
// carried out on both sides at the same point. That needs binlog_format = STATEMENT (deprecated and to be
// removed in MySQL), a table of its own, locks for every chunk, and an account that writes. Stopping the
// replica's applier at a common position would look like trouble to everybody who watches it, at the moment
// when a failover may need it. What is here only reads: SELECT is all that the account needs, and no server's
// state is touched.
//
// Blocks for as long as reading all data twice takes. One thread, one connection to each server.
namespace pointsman::verify {

struct Server {
  std::string name;
  conf::HostPort address;
};

struct Progress {
  std::string table;  // "app.orders"
  std::uint64_t tables_done = 0;
  std::uint64_t tables = 0;
  std::uint64_t rows = 0;
};

struct Order {
  std::vector<Server> servers;
  conf::Account account;  // with SELECT ON *.*
  std::uint32_t chunk_rows = 2000;
  core::Duration statement_timeout = std::chrono::minutes(10);
  core::Duration replica_timeout = std::chrono::seconds(60);  // for a replica to apply a position
  core::Duration lock_limit = std::chrono::seconds(2);
  std::stop_token stop;                           // ends it early with kind timeout
  std::function<void(const Progress&)> progress;  // may be empty; after each chunk
};

// What is not the same on `server` as on the primary.
struct Difference {
  std::string server;
  std::string table;  // "app.orders"
  std::string chunk;  // "id > 2000 AND id <= 4000"; "" the whole table
  std::string what;   // "other rows: 1998 instead of 2000"
};
// What could not be compared.
struct Unknown {
  std::string server;
  std::string table;  // "": the server as a whole
  std::string why;
};

struct Report {
  std::string primary;
  std::vector<std::string> replicas;  // those that were compared
  std::uint64_t tables = 0;
  std::uint64_t chunks = 0;
  std::uint64_t rows = 0;
  std::vector<Difference> differences;  // at most max_differences for one server and table
  std::vector<Unknown> unknown;

  bool equal() const { return differences.empty() && unknown.empty() && !replicas.empty(); }
};

inline constexpr std::size_t max_differences = 20;

// Fails when there is not exactly one server that accepts writes, or it cannot be read. A replica that cannot
// be read is in `unknown`.
std::expected<Report, core::Failure> run(const Order& order);

}  // namespace pointsman::verify
