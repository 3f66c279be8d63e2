#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conf/config.h"

namespace pointsman::testbed {

// Somebody who sends to heartbeat ports as fast as one thread can: noise of every length, oversized
// datagrams, and frames in the form of a heartbeat that claim a name and have a wrong code, which cost the
// receiver most. At most `max_time` long, and only to addresses of this machine (loopback, or a Network).
class DatagramFlood {
 public:
  struct Options {
    std::vector<conf::HostPort> to;  // numeric, of one family
    std::string claimed = "db1";     // whose frames they pretend to be
    std::chrono::seconds max_time{60};
  };

  // The socket is opened in the calling thread's network namespace (Network::inside()).
  static std::expected<DatagramFlood, std::string> start(const Options& options);
  ~DatagramFlood() { stop(); }
  DatagramFlood(DatagramFlood&&) noexcept = default;
  DatagramFlood& operator=(DatagramFlood&&) = delete;

  void stop();
  std::uint64_t sent() const { return *sent_; }  // datagrams that the kernel took

 private:
  DatagramFlood() = default;

  std::unique_ptr<std::atomic<std::uint64_t>> sent_ = std::make_unique<std::atomic<std::uint64_t>>(0);
  std::jthread thread_;
};

}  // namespace pointsman::testbed
