#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conf/address.h"
#include "health/io/address.h"

namespace pointsman::proxy {

// `proxy.proxy_protocol_from`: whose PROXY protocol headers are believed, and asked for. Immutable, any
// thread.
class TrustedNetworks {
 public:
  // Of texts that the configuration's loader has checked.
  explicit TrustedNetworks(const std::vector<std::string>& networks);
  bool contain(const io::Address& peer) const;

 private:
  std::vector<conf::Network> networks_;
};

using TrustedNetworksPtr = std::shared_ptr<const TrustedNetworks>;

}  // namespace pointsman::proxy
