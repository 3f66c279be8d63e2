#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

// The answer to `status` on one screen, most important first: what is wrong and what to do about it, then the
// servers, then the warnings. Reads DESIGN.md's members and, where present:
//   since_ms (how long in this state), reason (why there is no primary), next (commands to type, text or
//   array), step (of a change that runs), pid, uptime_s; per backend why (the verdict in words),
//   suspect_until_ms (from now until it is decided), executed (GTIDs), lost (GTIDs), semi_sync (of the
//   primary: commits wait for a replica), replication.error.
// Missing members are left out. Ends with a line end.
std::string render_status(const nlohmann::json& status, const Style& style);

// What of a status is news, for a pipe that gets one block a change: everything but ages, latencies, lags and
// counts.
std::string status_fingerprint(const nlohmann::json& status);

}  // namespace pointsman::proxy::cli
