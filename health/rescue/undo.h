#pragma once

#include <expected>
#include <string>

#include "health/core/server_report.h"
#include "health/rescue/record.h"
#include "health/rescue/server_call.h"

namespace pointsman::rescue {

// Writes undo.sql into the record's directory, for apply_undo(): MariaDB, flashback of transactions.binlog by
// its program; MySQL, which has none, by our own RowInverse. "": done; a text is why it cannot be undone.
std::expected<std::string, core::Failure> write_undo(ServerCall& call, const Record& record,
                                                     const Order& order);

// Applies undo.sql as one transaction with the GTID `record.marker`. Committed when it returns "". A text is
// why the server refused it, rolled back. A failure may have come before or after the commit, and the
// server's GTID state knows. The session is closed unless it was committed.
std::expected<std::string, core::Failure> apply_undo(ServerCall& call, const Record& record);

}  // namespace pointsman::rescue
