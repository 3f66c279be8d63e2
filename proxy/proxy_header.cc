#include "proxy/proxy_header.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>

namespace pointsman::proxy::proxy_header {

namespace {

constexpr std::string_view text_signature = "PROXY";  // of version 1

constexpr std::uint8_t version_2 = 0x20;
constexpr std::uint8_t command_local = 0;
constexpr std::uint8_t command_proxy = 1;
constexpr std::uint8_t unspecified = 0x00;
constexpr std::uint8_t tcp_over_ipv4 = 0x11;
constexpr std::uint8_t tcp_over_ipv6 = 0x21;
constexpr std::uint8_t unix_stream = 0x31;

constexpr std::size_t ipv4_size = 4;
constexpr std::size_t ipv6_size = 16;
constexpr std::size_t ipv4_block = 2 * ipv4_size + 4;
constexpr std::size_t ipv6_block = 2 * ipv6_size + 4;
constexpr std::size_t unix_block = 216;

std::uint8_t byte(std::span<const char> bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

// The same as far as the shorter one goes.
bool agree(std::span<const char> bytes, std::string_view expected) {
  const std::size_t n = std::min(bytes.size(), expected.size());
  return std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n), expected.begin());
}

// The first address and the first port of the block.
io::Address ipv4_client(const char* block) {
  io::Address address;
  auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
  in->sin_family = AF_INET;
  std::memcpy(&in->sin_addr, block, ipv4_size);
  std::memcpy(&in->sin_port, block + 2 * ipv4_size, sizeof in->sin_port);
  address.length = sizeof *in;
  return address;
}

io::Address ipv6_client(const char* block) {
  io::Address address;
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  in6->sin6_family = AF_INET6;
  std::memcpy(&in6->sin6_addr, block, ipv6_size);
  std::memcpy(&in6->sin6_port, block + 2 * ipv6_size, sizeof in6->sin6_port);
  address.length = sizeof *in6;
  return address;
}

std::expected<std::size_t, Fault> address_block(std::uint8_t command, std::uint8_t family) {
  if (command == command_local) return 0;
  switch (family) {
    case unspecified:
      return 0;
    case tcp_over_ipv4:
      return ipv4_block;
    case tcp_over_ipv6:
      return ipv6_block;
    case unix_stream:
      return unix_block;
    default:
      return std::unexpected(Fault::broken);
  }
}

void put_ipv4(char* block, const io::Address& client, const io::Address& proxy) {
  const auto put = [&](const io::Address& address, std::size_t place) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
    std::memcpy(block + place * ipv4_size, &in->sin_addr, ipv4_size);
    std::memcpy(block + 2 * ipv4_size + place * sizeof in->sin_port, &in->sin_port, sizeof in->sin_port);
  };
  put(client, 0);
  if (proxy.family() == AF_INET) put(proxy, 1);
}

void put_ipv6(char* block, const io::Address& client, const io::Address& proxy) {
  const auto put = [&](const io::Address& address, std::size_t place) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    std::memcpy(block + place * ipv6_size, &in6->sin6_addr, ipv6_size);
    std::memcpy(block + 2 * ipv6_size + place * sizeof in6->sin6_port, &in6->sin6_port,
                sizeof in6->sin6_port);
  };
  put(client, 0);
  if (proxy.family() == AF_INET6) put(proxy, 1);
}

}  // namespace

static_assert(prefix_size + max_rest == 4112, "a sentence below names it");

const char* to_string(Fault fault) {
  switch (fault) {
    case Fault::absent:
      return "the connection does not begin with a PROXY protocol header";
    case Fault::version_1:
      return "the PROXY protocol header is of version 1: set the balancer to version 2";
    case Fault::broken:
      return "the PROXY protocol header is broken";
    case Fault::too_long:
      return "the PROXY protocol header is longer than 4112 bytes";
    case Fault::late:
      return "the PROXY protocol header did not come in time";
    case Fault::untrusted:
      return "a PROXY protocol header from an address that is not in proxy.proxy_protocol_from";
  }
  return "?";
}

std::expected<Parsed, Fault> parse(std::span<const char> bytes) {
  if (!agree(bytes, signature)) {
    if (!agree(bytes, text_signature)) return std::unexpected(Fault::absent);
    if (bytes.size() >= text_signature.size()) return std::unexpected(Fault::version_1);
  }
  if (bytes.size() > signature.size()) {
    const std::uint8_t command = byte(bytes, 12);
    if (command != (version_2 | command_local) && command != (version_2 | command_proxy))
      return std::unexpected(Fault::broken);
  }
  if (bytes.size() < prefix_size) return Parsed{.missing = prefix_size - bytes.size(), .client = {}};

  const std::uint8_t command = byte(bytes, 12) & 0x0f;
  const std::uint8_t family = byte(bytes, 13);
  const std::size_t rest = std::size_t{byte(bytes, 14)} << 8 | byte(bytes, 15);
  const auto block = address_block(command, family);
  if (!block) return std::unexpected(block.error());
  if (rest < *block) return std::unexpected(Fault::broken);
  if (rest > max_rest) return std::unexpected(Fault::too_long);
  if (bytes.size() < prefix_size + rest)
    return Parsed{.missing = prefix_size + rest - bytes.size(), .client = {}};
  if (*block == ipv4_block) return Parsed{.missing = 0, .client = ipv4_client(&bytes[prefix_size])};
  if (*block == ipv6_block) return Parsed{.missing = 0, .client = ipv6_client(&bytes[prefix_size])};
  return Parsed{};
}

Header build(const io::Address& client, const io::Address& proxy) {
  Header header;
  char* at = std::ranges::copy(signature, header.bytes_.data()).out;
  const bool ipv4 = client.family() == AF_INET;
  const bool ipv6 = client.family() == AF_INET6;
  const std::size_t block = ipv4 ? ipv4_block : ipv6 ? ipv6_block : 0;
  *at++ = static_cast<char>(version_2 | (block == 0 ? command_local : command_proxy));
  *at++ = static_cast<char>(ipv4 ? tcp_over_ipv4 : ipv6 ? tcp_over_ipv6 : unspecified);
  *at++ = '\0';
  *at++ = static_cast<char>(block);
  if (ipv4) put_ipv4(at, client, proxy);
  if (ipv6) put_ipv6(at, client, proxy);
  header.size_ = prefix_size + block;
  return header;
}

bool tells_header(std::span<const char, telling_bytes> first) {
  return agree(first, signature) || agree(first, text_signature);
}

}  // namespace pointsman::proxy::proxy_header
