#pragma once

#include <array>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "conf/config.h"

// Addresses as the operator writes them. Pure: nothing is resolved. Any thread.
namespace pointsman::conf {

// "host:port": a name, an IPv4 address, or an IPv6 address in brackets ("[::1]:3306", "[fe80::1%eth0]:694");
// the port is 0 to 65535. The error says what is wrong with the text, without repeating it.
std::expected<HostPort, std::string> parse_address(std::string_view text);

// An IPv4 or IPv6 network.
struct Network {
  bool ipv6 = false;
  std::array<unsigned char, 16> address{};  // IPv4: the first four
  unsigned prefix = 0;                      // bits

  // `ip`: 4 bytes of an IPv4 address, 16 of an IPv6 one, as on the wire. None is of a network of the other
  // kind, not even as "::ffff:10.0.0.1".
  bool contains(std::span<const unsigned char> ip) const;
};

// "10.0.0.0/8" or "fd00::/8". Bits behind the prefix must be zero.
std::expected<Network, std::string> parse_network(std::string_view text);
// What is wrong with a text as a network; nullopt: nothing.
std::optional<std::string> network_fault(std::string_view text);

// 0.0.0.0 or ::, which stand for every address of this host.
bool is_wildcard(const HostPort& address);
// An address or name that means this host itself.
bool is_loopback(const HostPort& address);
// Both name the same endpoint as far as their text tells; names are compared without case.
bool same_endpoint(const HostPort& a, const HostPort& b);

}  // namespace pointsman::conf
