#pragma once

#include <expected>
#include <string>

#include "health/core/server_report.h"
#include "health/rescue/record.h"
#include "health/rescue/server_call.h"

namespace pointsman::rescue {

// Why the transactions of `record` cannot be undone row by row on this server, which is asked about its
// tables; "": they can.
std::expected<std::string, core::Failure> why_no_undo(ServerCall& call, const Record& record,
                                                      const Limits& limits);

}  // namespace pointsman::rescue
