#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/io/descriptor.h"
#include "proxy/service_sockets.h"

namespace pointsman::proxy {

// The sockets that systemd listens on for us (a unit pointsman.socket), for service_sockets(). Error: one
// that is not a listening stream socket. Start of the daemon only.
std::expected<std::vector<ServiceSocket>, std::string> activated_sockets(std::vector<io::Descriptor> given);

// What is wrong when `left` was taken by no address; "": nothing is left.
std::string why_not_used(const std::vector<ServiceSocket>& left);

}  // namespace pointsman::proxy
