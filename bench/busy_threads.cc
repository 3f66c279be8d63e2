#include "bench/busy_threads.h"

#include <atomic>
#include <cstdint>

namespace pointsman::bench {

BusyThreads::BusyThreads(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    threads_.emplace_back([](const std::stop_token& stop) {
      std::uint64_t value = 1;
      while (!stop.stop_requested()) {
        for (int n = 0; n < 100'000; ++n) {
          value = value * 6364136223846793005ULL + 1442695040888963407ULL;
          std::atomic_signal_fence(
              std::memory_order_seq_cst);  // or the compiler would skip all but the result
        }
      }
      return value;
    });
  }
}

}  // namespace pointsman::bench
