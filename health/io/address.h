#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sys/socket.h>

#include "conf/config.h"

namespace pointsman::io {

// A socket address, IPv4 or IPv6; of a client on a Unix socket, the family alone. A plain value.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::uint16_t port() const;
  void set_port(std::uint16_t port);

  static Address from(const sockaddr* address, socklen_t length);
  // "10.0.0.1" or "fe80::1%eth0" as the host; nullopt when it is a name.
  static std::optional<Address> numeric(const conf::HostPort& where);

  conf::HostPort host_port() const;
  std::string to_string() const;  // "10.0.0.1:3306", "[::1]:3306", "unix"
};

}  // namespace pointsman::io
