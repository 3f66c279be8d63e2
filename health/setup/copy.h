#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conf/authkeys.h"
#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/waker.h"
#include "health/setup/admin.h"

// A fresh copy of one server's data on another, which then can follow it by GTID. MySQL: the clone plugin,
// server to server. MariaDB: mariadb-backup by the two hosts' agents, or mariadb-dump piped into mariadb,
// both run here.
namespace pointsman::setup {

// Where the agents of both hosts may be reached for copies, and the keys that they know.
struct CopyAgents {
  std::vector<conf::HostPort> donor;
  std::vector<conf::HostPort> recipient;
  conf::AuthKeys keys;
};

struct CopyOrder {
  // Whose data; it goes on serving. MariaDB: its account reads everything. MySQL: one that sees the plugins,
  // and may install the clone plugin where it is missing.
  Endpoint donor;
  // What becomes the copy; it must not be written to meanwhile, so it is made read-only. MariaDB: its account
  // may do everything. MySQL: CLONE_ADMIN, SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, REPLICATION_SLAVE_ADMIN,
  // SELECT ON performance_schema.*, and INSERT ON mysql.plugin where the clone plugin is missing. After the
  // copy the accounts are the donor's: the same one must be there.
  Endpoint recipient;
  // MySQL: where and as whom the recipient itself reaches the donor. BACKUP_ADMIN there.
  conf::HostPort donor_address;
  conf::Account donor_login;
  // The recipient has data: throw it away. Otherwise that is refused, but for an unfinished copy of ours.
  bool overwrite = false;
  // MariaDB: by the agents; nullopt: by a dump.
  std::optional<CopyAgents> agents{};
  // MySQL: how long the recipient may take to be back. It restarts itself only under a supervisor.
  core::Duration restart_timeout = std::chrono::minutes(15);
};

struct CopyProgress {
  // `applying`: what was written while the copy was made, to files that were copied meanwhile.
  enum class Stage { preparing, clearing, copying, applying, restarting, stopped, finishing };
  Stage stage = Stage::preparing;
  std::string what;                  // the table, or the server's word for the stage; "" for none
  std::uint64_t bytes = 0;           // of what is copied
  std::uint64_t expected_bytes = 0;  // an estimate; 0: unknown
};
const char* to_string(CopyProgress::Stage stage);

// Called a few times a second, by one thread at a time, which need not be the caller's; must not block.
using OnProgress = std::function<void(const CopyProgress&)>;

struct CopyResult {
  core::GtidSet position;  // what the copy has executed
  std::uint64_t bytes = 0;
  core::Duration took{};
};

struct CopyFailure {
  core::Failure cause;  // in words
  // What became of the recipient.
  enum class Left {
    untouched,  // as it was
    empty,      // its data are gone, and it is fit for another try
    unknown,    // it could not be tidied up; the next copy does that
  } left = Left::untouched;
};

// Blocks until the copy is whole, failed and tidied up, or given up by `cancel` (rung from any thread; also
// tidied up). Any one thread. The recipient ends read-only, replicates from nobody, its scheduled events
// disabled as on a replica, its position that of the data; MariaDB: a mark stays until drop_copy_mark(), so
// that the server is known for a copy until it replicates. When this process is killed in the middle, the
// next copy starts anew.
std::expected<CopyResult, CopyFailure> copy_data(const CopyOrder& order, const mysql::Waker& cancel,
                                                 const OnProgress& on_progress);

// Why the agents cannot make the copy. Asks, and changes nothing.
struct NotByAgents {
  std::string why;    // "": they can
  bool busy = false;  // one of them is at work on a copy, also on taking one back: then no way is open
};
NotByAgents why_not_by_agents(const CopyOrder& order, Admin& donor, Admin& recipient,
                              const mysql::Waker& cancel);

// What copy_data() would do, for people: statements, and command lines without secrets.
std::vector<std::string> copy_statements(const CopyOrder& order, core::Flavour flavour);

}  // namespace pointsman::setup
