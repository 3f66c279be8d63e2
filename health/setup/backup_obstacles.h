#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>

#include "health/setup/admin.h"
#include "health/setup/copy.h"

// Whether the agents can copy a MariaDB's files, and what of it they have to be told. Nothing here changes
// anything.
namespace pointsman::setup {

using Variables = std::map<std::string, std::string>;
// "" where there is none of that name.
std::string value_of(const Variables& variables, const std::string& name);

struct BackupFacts {
  Variables donor;
  Variables recipient;
  std::uint64_t bytes = 0;   // that a copy of the donor's files needs
  std::uint64_t copied = 0;  // of these
};
// Asks both servers and both agents; `agents` are where they may be. Error: why this way is closed.
std::expected<BackupFacts, NotByAgents> look_for_backup(Admin& donor, Admin& recipient,
                                                        const CopyAgents& agents, const mysql::Waker& cancel);

// What of two servers' global variables does not go together in a copy of files; "" for nothing. Pure.
std::string why_files_do_not_fit(const Variables& donor, const Variables& recipient);

// "10.11" of "10.11.19-MariaDB-log".
std::string series_of(const std::string& version);

}  // namespace pointsman::setup
