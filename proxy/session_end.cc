#include "proxy/session_end.h"

#include <array>

namespace pointsman::proxy {

const char* to_string(SessionEnd end) {
  constexpr std::array<const char*, session_ends> names{
      "client",      "server",         "client_lost",   "client_stalled",
      "server_lost", "server_stalled", "login_timeout", "half_open_timeout",
      "refused",     "route",          "stop"};
  return names[index(end)];
}

}  // namespace pointsman::proxy
