#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "conf/problem.h"
#include "proxy/cli/text.h"

// The smaller answers. Each ends with a line end.
namespace pointsman::proxy::cli {

// {"sessions": [{id, client, backend (null: held), age_ms, bytes_from_client, bytes_from_server, worker}],
// "total": N}
std::string render_sessions(const nlohmann::json& result, const Style& style);

// The dry run of `command`: {"plan": [{step, backend, what}], "waits": [...], "refused": [...]}; the plan and
// what it would wait for. The caller tells why it is refused.
std::string render_plan(const std::string& command, const nlohmann::json& result, const Style& style);

// {candidate, passed_over: [...], verdict_needed, expected_ms, loss, vetoes: [...], text}
std::string render_explain(const nlohmann::json& result, const Style& style);

// {"message": "..."}
std::string render_message(const nlohmann::json& result, const Style& style);

// For `check --json`.
nlohmann::json problems_json(const std::vector<conf::Problem>& problems);

}  // namespace pointsman::proxy::cli
