#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/setup/copy_ends.h"

namespace pointsman::setup {

// MariaDB, by mariadb-backup: the agent beside the donor sends it, the one beside the recipient unpacks it
// beside the data folder, and has it take their place. We pass the bytes on and say what is next.

// `ends.order.agents` are there. Whatever fails before the recipient runs on the copy leaves it as it was.
std::expected<CopyResult, CopyFailure> copy_by_backup(const CopyEnds& ends, const mysql::Waker& cancel,
                                                      const OnProgress& tell);
std::vector<std::string> backup_statements(const CopyOrder& order);

}  // namespace pointsman::setup
