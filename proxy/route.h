#pragma once

#include <memory>
#include <optional>
#include <string>

#include <sys/socket.h>

#include "health/core/ids.h"

namespace pointsman::proxy {

// Where clients go: an immutable snapshot, made by the control loop, read by the workers.
struct Route {
  enum class Mode {
    open,      // new clients are connected
    holding,   // new clients are held, sessions go on (operator's pause)
    draining,  // new clients are held; sessions: nothing more is read from clients, what the server still
               // says is delivered
    closed,    // new clients are held, sessions end at once
  };

  core::Epoch epoch;
  Mode mode = Mode::closed;
  std::optional<core::BackendId> backend;  // set unless closed with nobody to go to
  sockaddr_storage address{};
  socklen_t address_length = 0;
  std::string reason;  // why it is not open; told to clients whose hold_timeout ends
};

using RoutePtr = std::shared_ptr<const Route>;

}  // namespace pointsman::proxy
