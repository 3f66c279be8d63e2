#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

// The table of servers of `status`: one line each where the width allows, else replication and links on a
// second one. Under a server that is not well: why, until when that is undecided, its errors. With
// `positions`, each server's executed GTIDs too, since they say whom to promote.
std::string render_backends(const std::vector<nlohmann::json>& backends, bool positions, const Style& style);

}  // namespace pointsman::proxy::cli
