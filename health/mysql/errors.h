#pragma once

#include <optional>
#include <string_view>

#include "health/core/server_report.h"

namespace pointsman::mysql {

// Where a call failed; the same library error means different things in the two.
enum class Phase { connecting, connected };

// What an error number (the server's or the client library's, either library) proves about the server. `text`
// is the library's message, which carries the system's errno; `greeted`: the server sent at least one byte in
// this connection.
core::FailureKind classify(unsigned code, std::string_view text, Phase phase, bool greeted);

// Numbers that the server itself sends; both products share them where both use them.
bool is_server_error(unsigned code);

// The session is gone after this error although the server sent it properly (killed, shut down, idle too
// long).
bool ends_session(unsigned code);

// KILL of a session that has ended meanwhile.
inline constexpr unsigned no_such_thread_errno = 1094;

// The errno that the libraries put at the end of a message: "... (111)", "... system error: 104".
std::optional<int> system_errno(std::string_view text);

}  // namespace pointsman::mysql
