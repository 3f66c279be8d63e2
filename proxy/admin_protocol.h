#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

// What the daemon and the operator's commands say to each other over the admin socket: one JSON object on one
// line in, one line out, {"ok":true,"result":...} or {"ok":false,"error":"..."}; then the daemon closes.
// `events` with follow is answered by an ok line and then by one event object a line until the client leaves.
//
// Requests, with the members that they may have besides "command", and their result:
//   status                                        the status object
//   events        limit: N, follow: bool          {"events": [event, ...]}, oldest first
//   sessions      limit: N                        {"sessions": [...], "total": N}
//   explain                                       {"candidate", "verdict_needed", "expected_ms", "loss",
//                                                 "vetoes", "text"}
//   switchover    to: NAME, dry_run: bool,        the event; with dry_run
//                 max_wait_ms: N,                 {"plan": [{"step", "backend", "what"}],
//                 end_transactions: bool          "waits": [sentence, ...], "refused": [...]}
//   failover      to: NAME, force: bool           the event
//   rejoin        name: NAME                      {"message": "..."}, as all below
//   maintenance   name: NAME, on: bool
//   automatic     on: bool
//   drain         timeout_ms: N
//   pause, resume, reload
namespace pointsman::proxy {

inline constexpr std::size_t admin_max_request = std::size_t{64} * 1024;   // bytes, line end included
inline constexpr std::size_t admin_max_answer = std::size_t{1024} * 1024;  // bytes that wait for one client
inline constexpr std::size_t admin_max_clients = 64;
inline constexpr std::size_t admin_max_depth = 16;  // of nested objects and arrays in a request

// Exit status of the commands.
enum class ExitStatus { done = 0, refused = 1, usage = 2, no_daemon = 3 };

inline nlohmann::json admin_ok(nlohmann::json result) {
  return {{"ok", true}, {"result", std::move(result)}};
}
inline nlohmann::json admin_error(std::string text) {
  return {{"ok", false}, {"error", std::move(text)}};
}

// One line with its end. Servers' messages may hold bytes that are not UTF-8; those are replaced.
std::string admin_line(const nlohmann::json& value);

// One request line, without its end: an object with a string "command", nested no deeper than
// admin_max_depth. Error: a sentence for who sent it.
std::expected<nlohmann::json, std::string> parse_admin_request(std::string_view line);

}  // namespace pointsman::proxy
