#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/io/address.h"
#include "health/io/loop.h"
#include "health/io/resolve.h"
#include "health/io/timer.h"

namespace pointsman::io {

// Where heartbeats are sent: an address, or a name that is looked up now and then, since it may move. While a
// name is unknown it has no address; one that was known stays until another is found. Loop's thread.
class Destination {
 public:
  static constexpr core::Duration retry = std::chrono::seconds(1);  // while the name is unknown
  static constexpr core::Duration refresh = std::chrono::seconds(30);

  // `on_unknown` is told each time that a lookup fails; may be empty.
  Destination(Loop& loop, conf::HostPort where, std::function<void(const std::string& why)> on_unknown);
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;

  const conf::HostPort& where() const { return where_; }
  // At most one: the first that the system prefers.
  const std::vector<Address>& addresses() const { return addresses_; }

 private:
  const conf::HostPort where_;
  std::function<void(const std::string&)> on_unknown_;
  std::vector<Address> addresses_;
  Resolver resolver_;
  Timer again_;
};

}  // namespace pointsman::io
