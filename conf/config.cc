#include "conf/config.h"

namespace pointsman::conf {

std::string to_string(const HostPort& address) {
  if (address.host.starts_with('/')) return address.host;  // a Unix socket
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace pointsman::conf
