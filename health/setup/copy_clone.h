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

}  // namespace pointsman::setup
