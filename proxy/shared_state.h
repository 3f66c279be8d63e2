#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "conf/config.h"
#include "health/core/time.h"
#include "proxy/proxy_header.h"
#include "proxy/release_bucket.h"
#include "proxy/session_end.h"

// What threads share about the data path: limits and sums over all workers, and each worker's own counters.
namespace pointsman::proxy {

inline constexpr std::size_t cache_line = 64;

// Limits of the configuration; written by the control loop, read by the workers.
struct Limits {
  std::atomic<unsigned> max_connections{0};
  std::atomic<unsigned> max_held{0};
  std::atomic<std::int64_t> hold_timeout_ns{0};
  std::atomic<std::int64_t> connect_timeout_ns{0};
  std::atomic<std::int64_t> login_timeout_ns{0};
  std::atomic<bool> proxy_header{false};  // servers are told the client's address

  core::Duration hold_timeout() const {
    return core::Duration(hold_timeout_ns.load(std::memory_order_relaxed));
  }
  core::Duration login_timeout() const {
    return core::Duration(login_timeout_ns.load(std::memory_order_relaxed));
  }
  core::Duration connect_timeout() const {
    return core::Duration(connect_timeout_ns.load(std::memory_order_relaxed));
  }
};

// Where all workers must agree, because the limits count over all of them.
struct Shared {
  alignas(cache_line) Limits limits;
  alignas(cache_line) std::atomic<unsigned> connections{0};  // sessions, held ones included
  std::atomic<unsigned> held{0};
  std::atomic<std::uint64_t> next_session_id{1};
  ReleaseBucket releases;
};

// Counters with one writer, the worker; any thread may read them.
class Counter {
 public:
  void add(std::int64_t n) { value_.store(get() + static_cast<std::uint64_t>(n), std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct alignas(cache_line) WorkerStats {
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();

  WorkerStats() {
    for (auto& t : last_traffic_ns) t.store(never, std::memory_order_relaxed);
  }

  // When the last bytes from each backend came, as core::Instant counts.
  std::array<std::atomic<std::int64_t>, conf::max_backends> last_traffic_ns;
  std::array<Counter, conf::max_backends> active_by_backend;
  Counter active;
  Counter held;
  Counter total;
  Counter refused_max_connections;
  Counter refused_max_held;
  Counter hold_timeouts;
  std::array<Counter, proxy_header::fault_count> refused_headers;
  std::array<Counter, session_ends> ended;
  Counter accept_pauses;
  Counter holds;
  Counter bytes_from_clients;
  Counter bytes_from_servers;
};

}  // namespace pointsman::proxy
