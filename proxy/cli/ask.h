#pragma once

#include <chrono>
#include <expected>
#include <string>

#include <nlohmann/json.hpp>

#include "proxy/admin_client.h"
#include "proxy/cli/command_line.h"

// From what was typed to the daemon's answer.
namespace pointsman::proxy::cli {

inline constexpr std::chrono::milliseconds connect_timeout{2000};
inline constexpr std::chrono::milliseconds answer_timeout{10'000};       // of what the daemon answers at once
inline constexpr std::chrono::milliseconds change_timeout{15 * 60'000};  // of what waits for servers

// The request line of a command (see admin_protocol.h).
nlohmann::json request_of(const Invocation& invocation);
// It changes the state of servers or clients, so that it matters whether it was done when the answer is lost.
bool changes_something(const Invocation& invocation);
std::chrono::milliseconds patience_of(const Invocation& invocation);

// --socket, else the one of the configuration. Error: the given configuration cannot be read, with its
// problems. The default configuration may be missing or unreadable for this user; then the default socket is
// tried.
std::expected<std::string, std::string> socket_of(const Invocation& invocation);

// Asks and waits for the first line of the answer, {"ok":...}. On a terminal, says after a while that it
// waits.
std::expected<nlohmann::json, AdminFailure> ask(const std::string& socket, const nlohmann::json& request,
                                                std::chrono::milliseconds patience);

std::string refusal_of(const nlohmann::json& answer);  // of an answer that is not ok
ExitStatus exit_status_of(const AdminFailure& failure, bool changes);

}  // namespace pointsman::proxy::cli
