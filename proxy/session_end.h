#pragma once

#include <cstddef>
#include <cstdint>

namespace pointsman::proxy {

// What a session ended by.
enum class SessionEnd : std::uint8_t {
  client,          // it closed its connection
  server,          // it did
  client_lost,     // reset, or its host is gone
  client_stalled,  // it took nothing of what was sent to it for as long as the kernel tries (sockets.h)
  server_lost,
  server_stalled,
  login_timeout,      // the client did not log in within proxy.login_timeout
  half_open_timeout,  // the server had closed, and the client did not take note of it
  refused,            // with an error of ours
  route,              // its server is not the primary any more
  stop,               // of the proxy
};
inline constexpr std::size_t session_ends = 11;
inline constexpr std::size_t index(SessionEnd end) {
  return static_cast<std::size_t>(end);
}
const char* to_string(SessionEnd end);  // as above

}  // namespace pointsman::proxy
