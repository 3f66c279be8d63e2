#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "health/io/address.h"

// The header of the PROXY protocol, version 2, with which a proxy tells a server whom a connection comes from
// (HAProxy's proxy-protocol.txt, section 2.2):
//
//   12 bytes   signature
//    1         version 2, and the command: 0 LOCAL (of the proxy's own), 1 PROXY
//    1         address family and transport
//    2         how many bytes follow
//   12 or 36   addresses of client and proxy, then their ports; TCP over IPv4 or IPv6
//   ...        type-length-value triples, which are skipped
//
// Pure functions, any thread.
namespace pointsman::proxy::proxy_header {

inline constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
inline constexpr std::size_t prefix_size = 16;
// That may follow the prefix. Addresses and what balancers add of TLS and their cloud's names is some hundred
// bytes; the format allows 65535.
inline constexpr std::size_t max_rest = 4096;

// What is wrong with the beginning of a connection.
enum class Fault : std::uint8_t {
  absent,     // something else
  version_1,  // the text header, which has no length and so cannot be read without what follows it
  broken,
  too_long,
  // Not of the bytes; found by whoever reads them.
  late,
  untrusted,
};
inline constexpr std::size_t fault_count = 6;
constexpr std::size_t index(Fault fault) {
  return static_cast<std::size_t>(fault);
}
// A sentence for the client and the log.
const char* to_string(Fault fault);

struct Parsed {
  // Bytes that are at least missing; 0: the header is complete, and ends where `bytes` ends.
  std::size_t missing = 0;
  // Complete: whom the connection comes from. nullopt: the peer speaks for itself (LOCAL), or of somebody
  // without an address (a Unix socket).
  std::optional<io::Address> client;
};

// What the connection's first bytes say. Whoever reads never more than is `missing` has read the header and
// not a byte of what follows. Hostile bytes are a fault as soon as it shows.
std::expected<Parsed, Fault> parse(std::span<const char> bytes);

class Header {
 public:
  std::span<const char> bytes() const { return {bytes_.data(), size_}; }

 private:
  friend Header build(const io::Address& client, const io::Address& proxy);
  std::array<char, prefix_size + 36> bytes_{};
  std::size_t size_ = 0;
};

// A connection of `client`, who came to our address `proxy`. That one is left zero when it is of another
// family, as it is with a client of whom we were told ourselves. A client on a Unix socket is LOCAL: MariaDB
// has it come from us then, as without a header, and refuses the family UNSPEC that would say so.
Header build(const io::Address& client, const io::Address& proxy);

// A client's first bytes, from its fourth on, are the beginning of such a header of either version, and of no
// packet of MySQL's: the fourth byte is a packet's number, which begins with 0 or 1.
inline constexpr std::size_t telling_bytes = 4;
bool tells_header(std::span<const char, telling_bytes> first);

}  // namespace pointsman::proxy::proxy_header
