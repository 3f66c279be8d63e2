#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include <prometheus/collectable.h>

#include "health/io/address.h"

namespace prometheus {
class Exposer;
}

namespace pointsman::proxy {

// The HTTP address where Prometheus scrapes, GET /metrics. Answers on threads of its own, which know nothing
// of the daemon but the collectable: whoever scrapes slowly, or all the time, delays other scrapes alone.
// Those threads run at a lower priority: see lower_priority_of_this_thread().
//
// Made and destroyed on any thread, one at a time. Opening may resolve a name, and closing takes up to 2 s
// when a client stands still, else milliseconds: not for the control loop while it has to decide something.
class MetricsEndpoint {
 public:
  // A scrape takes milliseconds; with these, some clients that stand still keep nobody out for long.
  static constexpr int threads = 4;
  static constexpr int waiting = 16;   // connections that wait for a thread
  static constexpr int backlog = 128;  // and in the kernel
  // Milliseconds for a request, and for each piece of an answer.
  static constexpr int request_timeout = 2000;
  static constexpr int longest_request = 8192;  // bytes, headers included

  // `address`: "host:port". Error: "cannot listen on 127.0.0.1:9366: Address already in use".
  static std::expected<std::unique_ptr<MetricsEndpoint>, std::string> open(
      const std::string& address, const std::shared_ptr<prometheus::Collectable>& what);
  ~MetricsEndpoint();
  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;

  // "http://127.0.0.1:9366/metrics", with the port that the kernel chose for port 0.
  const std::string& url() const { return url_; }

 private:
  MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, io::Address bound, std::string url);

  std::unique_ptr<prometheus::Exposer> exposer_;
  io::Address bound_;  // one of its addresses
  std::string url_;
};

// Lowers the priority of the thread that calls it, once, so that answering never takes a processor from the
// relay or the decisions. For the collectable, which is called on the endpoint's threads.
void lower_priority_of_this_thread();

}  // namespace pointsman::proxy
