#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/testbed/daemon.h"

namespace pointsman::live {

// An application: inserts numbered rows, one after another, connects again whenever it is
// cut off, and remembers which rows were acknowledged. Runs in its own thread until it is stopped.
class Writer {
 public:
  using Connect = std::function<std::expected<testbed::Sql, testbed::SqlError>()>;
  using Row = std::pair<int, std::chrono::steady_clock::time_point>;  // and when it was acknowledged

  // Rows are numbered first, first + stride, ... `connect` is called in the writer's thread. `pause`: between
  // two rows.
  explicit Writer(Connect connect, int first = 0, int stride = 1, std::chrono::milliseconds pause = {});
  // Through the proxy.
  Writer(const testbed::Daemon& daemon, const testbed::Cluster& cluster, int first = 0, int stride = 1);
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void stop();
  std::vector<int> acknowledged() const;
  std::vector<Row> rows() const;  // the same, in their order
  std::size_t errors() const;     // failures to connect and failed statements
  std::size_t count() const;
  // Waits until `more` further rows are acknowledged; false: not in time.
  bool wait_for(std::size_t more, std::chrono::milliseconds timeout) const;
  // Longest pause between two acknowledgements since `since`.
  std::chrono::milliseconds longest_gap(std::chrono::steady_clock::time_point since) const;
  std::string last_error() const;

 private:
  void run(int first, int stride, std::chrono::milliseconds pause);

  void failed(const testbed::SqlError& error);

  Connect connect_;
  mutable std::mutex mutex_;
  std::vector<Row> rows_;  // acknowledged
  std::size_t errors_ = 0;
  std::string last_error_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace pointsman::live
