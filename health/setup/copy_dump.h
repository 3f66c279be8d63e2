#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/setup/copy_ends.h"

namespace pointsman::setup {

// MariaDB. The snapshot is one transaction on the donor, which takes no lock there; what is not InnoDB is
// copied as it is at that moment.
std::expected<CopyResult, CopyFailure> copy_by_dump(const CopyEnds& ends, const mysql::Waker& cancel,
                                                    const OnProgress& tell);
std::vector<std::string> dump_statements(const CopyOrder& order);

// gtid_binlog_state of a copy whose data are at `position`, when the donor's was `before` a moment before:
// every origin that the donor knows, and in each domain the position as its newest. Without it the copy
// would seem to lack what former primaries wrote; with a later one it would refuse what comes next.
std::expected<std::string, std::string> binlog_state_of_copy(const std::string& before,
                                                             const std::string& position);

}  // namespace pointsman::setup
