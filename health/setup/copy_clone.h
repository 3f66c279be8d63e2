#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/setup/copy_ends.h"

namespace pointsman::setup {

// MySQL 8.0.17 and later. The recipient fetches a physical copy from the donor over a connection of its own,
// and ends: a supervisor starts it again, or a person.
std::expected<CopyResult, CopyFailure> copy_by_clone(const CopyEnds& ends, const mysql::Waker& cancel,
                                                     const OnProgress& tell);
std::vector<std::string> clone_statements(const CopyOrder& order);

// Installs the clone plugin on a MySQL server that lacks it, so that an account which may not do that can
// make copies later. super_read_only is off for a moment, read_only stays.
Outcome provide_clone_plugin(Admin& admin);
std::vector<std::string> clone_plugin_statements();

}  // namespace pointsman::setup
