#pragma once

#include <expected>
#include <string>

#include "health/core/server_report.h"
#include "health/rescue/binlog_program.h"
#include "health/rescue/record.h"
#include "health/rescue/server_call.h"

namespace pointsman::rescue {

// Why the transactions of `record` cannot be undone by flashback on this server, which is asked about its
// tables;
// "": they can. MariaDB.
std::expected<std::string, core::Failure> why_no_flashback(ServerCall& call, const Record& record,
                                                           const Limits& limits);

// Writes undo.sql into the record's directory: flashback of transactions.binlog, for apply_undo().
std::expected<void, core::Failure> write_undo(const Record& record, const Order& order,
                                              const BinlogProgram& program, core::Instant deadline);

// Applies undo.sql as one transaction with the GTID `record.marker`. Committed when it returns "". A text is
// why the server refused it, rolled back. A failure may have come before or after the commit, and the
// server's GTID state knows.
std::expected<std::string, core::Failure> apply_undo(ServerCall& call, const Record& record);

}  // namespace pointsman::rescue
