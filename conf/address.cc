#include "conf/address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <arpa/inet.h>

#include "conf/characters.h"

namespace pointsman::conf {
namespace {

constexpr std::size_t max_name = 253;  // RFC 1035, without the final dot
constexpr std::size_t max_zone = 15;   // IFNAMSIZ - 1
constexpr unsigned max_port = 65535;
using Ipv6 = std::array<unsigned char, 16>;
using Ipv4 = std::array<unsigned char, 4>;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_alnum(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

// inet_pton wants a terminated string, and must not stop at an embedded NUL.
template <class Bytes>
bool read_ip(int family, std::string_view text, Bytes& bytes) {
  if (text.contains('\0')) return false;
  return inet_pton(family, std::string(text).c_str(), bytes.data()) == 1;
}

bool is_ipv4(std::string_view text) {
  Ipv4 bytes{};
  return read_ip(AF_INET, text, bytes);
}

// An IPv6 address, with "%zone" for a link-local one.
bool is_ipv6(std::string_view text) {
  if (const auto percent = text.find('%'); percent != std::string_view::npos) {
    const std::string_view zone = text.substr(percent + 1);
    const auto good = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
    if (zone.empty() || zone.size() > max_zone || !std::ranges::all_of(zone, good)) return false;
    text = text.substr(0, percent);
  }
  Ipv6 bytes{};
  return read_ip(AF_INET6, text, bytes);
}

std::optional<std::string> host_fault(std::string_view host) {
  if (host.empty()) return "the host is missing";
  if (std::ranges::all_of(host, [](char c) { return is_digit(c) || c == '.'; })) {
    if (is_ipv4(host)) return std::nullopt;
    return "the host is not a valid IPv4 address";
  }
  if (host.size() > max_name) return "the host is longer than 253 characters";
  const auto good = [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; };
  if (!std::ranges::all_of(host, good) || host.starts_with('.') || host.starts_with('-')) {
    return "the host is not a valid name or address";
  }
  return std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc{} || end != text.data() + text.size() || port > max_port) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

}  // namespace

std::expected<HostPort, std::string> parse_address(std::string_view text) {
  if (text.empty()) return std::unexpected("it is empty");
  std::string_view host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::unexpected("the closing ] is missing");
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!is_ipv6(host)) return std::unexpected("between the brackets is no valid IPv6 address");
  } else if (std::ranges::count(text, ':') > 1) {
    return std::unexpected("an IPv6 address must be in brackets, as in \"[::1]:3306\"");
  } else {
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (auto fault = host_fault(host)) return std::unexpected(std::move(*fault));
  }
  if (rest.empty()) return std::unexpected("the port is missing");
  const auto port = rest.starts_with(':') ? parse_port(rest.substr(1)) : std::nullopt;
  if (!port) return std::unexpected("the port must be a number from 0 to 65535");
  return HostPort{std::string(host), *port};
}

bool Network::contains(std::span<const unsigned char> ip) const {
  if (ip.size() != (ipv6 ? sizeof(Ipv6) : sizeof(Ipv4))) return false;
  const std::size_t whole = prefix / 8;
  if (!std::equal(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  const unsigned rest = prefix % 8;
  return rest == 0 || (ip[whole] ^ address.at(whole)) >> (8 - rest) == 0;
}

std::expected<Network, std::string> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return std::unexpected("the prefix length is missing, as in \"10.0.0.0/8\"");
  const std::string_view address = text.substr(0, slash);
  const std::string_view prefix = text.substr(slash + 1);
  Network network;
  network.ipv6 = read_ip(AF_INET6, address, network.address);
  if (!network.ipv6 && !read_ip(AF_INET, address, network.address))
    return std::unexpected("not an IPv4 or IPv6 address before the /");
  const unsigned bits = network.ipv6 ? 128 : 32;
  const auto [end, problem] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), network.prefix);
  if (problem != std::errc{} || end != prefix.data() + prefix.size() || network.prefix > bits)
    return std::unexpected("the prefix length must be a number from 0 to " + std::to_string(bits));
  for (unsigned bit = network.prefix; bit < bits; ++bit) {
    if ((network.address.at(bit / 8) & (0x80U >> bit % 8)) != 0)
      return std::unexpected("the address has bits behind the prefix");
  }
  return network;
}

std::optional<std::string> network_fault(std::string_view text) {
  auto network = parse_network(text);
  return network ? std::nullopt : std::optional(std::move(network.error()));
}

bool is_wildcard(const HostPort& address) {
  if (address.host == "0.0.0.0") return true;
  Ipv6 bytes{};
  return read_ip(AF_INET6, address.host, bytes) && bytes == Ipv6{};
}

bool is_loopback(const HostPort& address) {
  if (same_endpoint(address, {"localhost", address.port})) return true;
  Ipv4 v4{};
  if (read_ip(AF_INET, address.host, v4)) return v4[0] == 127;
  Ipv6 v6{};
  Ipv6 one{};
  one.back() = 1;
  return read_ip(AF_INET6, address.host, v6) && v6 == one;
}

bool same_endpoint(const HostPort& a, const HostPort& b) {
  if (a.port != b.port) return false;
  if (std::ranges::equal(a.host, b.host, {}, lower, lower)) return true;
  Ipv6 left{};  // "::1" and "0:0::1"
  Ipv6 right{};
  return read_ip(AF_INET6, a.host, left) && read_ip(AF_INET6, b.host, right) && left == right;
}

}  // namespace pointsman::conf
