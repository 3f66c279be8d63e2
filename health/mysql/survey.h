#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/core/command.h"
#include "health/core/time.h"
#include "health/mysql/result_table.h"
#include "health/mysql/session.h"

// Who holds up a server, read from the server itself. It only reads. Used by the command thread.
namespace pointsman::mysql {

// Accounts whose sessions are replication's or ours.
struct OwnAccounts {
  std::string monitor;
  std::string replication;
};

// A row of SHOW PROCESSLIST is somebody's who is neither replication, nor ours, nor a thread of the server.
bool is_client(const ResultTable& processlist, std::size_t row, const OwnAccounts& own);

// Transactions and statements of clients that are `long_age` old, or of any age with `all`, table locks, and
// backups' locks. What each product does not tell is left out: MariaDB names locks only where the plugin
// metadata_lock_info is installed, and a backup otherwise only while its statement runs.
std::expected<std::vector<core::Occupant>, core::Failure> find_occupants(Session& session,
                                                                         const OwnAccounts& own, bool all,
                                                                         core::Instant deadline);

std::expected<core::SurveyResult, core::Failure> survey(Session& session, const OwnAccounts& own,
                                                        core::Instant deadline);

// By the servers' clocks, which count whole seconds: older than one.
inline constexpr std::chrono::seconds long_age{2};

}  // namespace pointsman::mysql
