#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/testbed/daemon.h"

namespace pointsman::live {

// An application: inserts numbered rows through the proxy, one after another, connects again whenever it is
// cut off, and remembers which rows were acknowledged. Runs in its own thread until it is stopped.
class Writer {
 public:
  // Rows are numbered first, first + stride, ...
  Writer(const testbed::Daemon& daemon, const testbed::Cluster& cluster, int first = 0, int stride = 1);
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void stop();
  std::vector<int> acknowledged() const;
  std::size_t count() const;
  // Waits until `more` further rows are acknowledged; false: not in time.
  bool wait_for(std::size_t more, std::chrono::milliseconds timeout) const;
  // Longest pause between two acknowledgements since `since`.
  std::chrono::milliseconds longest_gap(std::chrono::steady_clock::time_point since) const;
  std::string last_error() const;

 private:
  void run(int first, int stride);

  const testbed::Daemon& daemon_;
  testbed::Login login_;
  mutable std::mutex mutex_;
  std::vector<std::pair<int, std::chrono::steady_clock::time_point>> rows_;  // acknowledged
  std::string last_error_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace pointsman::live
