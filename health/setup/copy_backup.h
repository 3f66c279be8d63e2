#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "health/setup/copy_ends.h"

namespace pointsman::setup {

// MariaDB, by mariadb-backup: the agent beside the donor sends it, the one beside the recipient unpacks it
// beside the data folder, and has it take their place. We pass the bytes on and say what is next.

// Why this way is closed. Asks both servers and both agents, changes nothing. `agents` are where they may be.
NotByAgents why_not_by_backup(Admin& donor, Admin& recipient, const CopyAgents& agents,
                              const mysql::Waker& cancel);

// `ends.order.agents` are there. Whatever fails before the recipient runs on the copy leaves it as it was.
std::expected<CopyResult, CopyFailure> copy_by_backup(const CopyEnds& ends, const mysql::Waker& cancel,
                                                      const OnProgress& tell);
std::vector<std::string> backup_statements(const CopyOrder& order);

// What of two servers' global variables does not go together in a copy of files; "" for nothing. Pure.
using Variables = std::map<std::string, std::string>;
std::string why_files_do_not_fit(const Variables& donor, const Variables& recipient);

// "10.11" of "10.11.19-MariaDB-log".
std::string series_of(const std::string& version);

}  // namespace pointsman::setup
