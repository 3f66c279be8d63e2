#include "health/io/address.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <net/if.h>
#include <netinet/in.h>
#include <uv.h>

namespace pointsman::io {

std::uint16_t Address::port() const {
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  if (storage.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  return 0;
}

void Address::set_port(std::uint16_t port) {
  if (storage.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
  if (storage.ss_family == AF_INET) reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
}

Address Address::from(const sockaddr* address, socklen_t length) {
  Address a;
  a.length = std::min<socklen_t>(length, sizeof a.storage);
  std::memcpy(&a.storage, address, a.length);
  return a;
}

std::optional<Address> Address::numeric(const conf::HostPort& where) {
  Address a;
  if (uv_ip4_addr(where.host.c_str(), where.port, reinterpret_cast<sockaddr_in*>(&a.storage)) == 0) {
    a.length = sizeof(sockaddr_in);
    return a;
  }
  if (uv_ip6_addr(where.host.c_str(), where.port, reinterpret_cast<sockaddr_in6*>(&a.storage)) == 0) {
    a.length = sizeof(sockaddr_in6);
    return a;
  }
  return std::nullopt;
}

conf::HostPort Address::host_port() const {
  std::array<char, INET6_ADDRSTRLEN + 1> text{};
  if (storage.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    uv_ip6_name(in6, text.data(), text.size());
    std::string host = text.data();
    std::array<char, IF_NAMESIZE> interface{};
    if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, interface.data()) != nullptr) {
      host += '%';
      host += interface.data();
    }
    return {host, port()};
  }
  if (storage.ss_family == AF_INET)
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(&storage), text.data(), text.size());
  return {text.data(), port()};
}

std::string Address::to_string() const {
  if (storage.ss_family == AF_UNIX) return "unix";
  const auto where = host_port();
  const bool v6 = storage.ss_family == AF_INET6;
  return (v6 ? "[" : "") + where.host + (v6 ? "]:" : ":") + std::to_string(where.port);
}

}  // namespace pointsman::io
