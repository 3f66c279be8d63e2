#include "proxy/trusted_networks.h"

#include <algorithm>
#include <span>

#include <netinet/in.h>

namespace pointsman::proxy {

TrustedNetworks::TrustedNetworks(const std::vector<std::string>& networks) {
  for (const auto& text : networks) {
    if (const auto network = conf::parse_network(text)) networks_.push_back(*network);
  }
}

bool TrustedNetworks::contain(const io::Address& peer) const {
  std::span<const unsigned char> ip;
  if (peer.family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&peer.storage);
    ip = {reinterpret_cast<const unsigned char*>(&in->sin_addr), sizeof in->sin_addr};
  } else if (peer.family() == AF_INET6) {
    ip = reinterpret_cast<const sockaddr_in6*>(&peer.storage)->sin6_addr.s6_addr;
  }
  return std::ranges::any_of(networks_, [&](const conf::Network& network) { return network.contains(ip); });
}

}  // namespace pointsman::proxy
