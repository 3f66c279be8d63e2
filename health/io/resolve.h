#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include <uv.h>

#include "conf/config.h"
#include "health/io/address.h"
#include "health/io/loop.h"

namespace pointsman::io {

// Host name to socket addresses, without blocking the loop. Used on the loop's thread.
//
// One resolution at a time: start() abandons the one before. A resolution has no timeout of its own (the
// system's resolver gives up after its own, often 10 s or more); who cannot wait sets a Timer and calls
// cancel(). Destroying the object is safe at any time, also inside the callback.
class Resolver {
 public:
  // At most max_addresses, in the system's order of preference, at least one; or what the system said.
  using Result = std::expected<std::vector<Address>, std::string>;
  static constexpr std::size_t max_addresses = 16;

  Resolver(Loop& loop, std::function<void(Result)> on_result);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A numeric address, or a failure to even begin, calls back before start() returns.
  void start(const conf::HostPort& where);
  void cancel();  // no callback any more

 private:
  struct Request;
  void deliver(Result result);

  Loop& loop_;
  std::function<void(Result)> on_result_;
  Request* request_ = nullptr;  // owns itself until libuv calls back
};

}  // namespace pointsman::io
