#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace pointsman::bench {

// Ctrl-C and its kin as a wish that the program looks at where it suits: what was started must be stopped and
// removed first. The second signal ends the process at once; its children end with it, its folder remains.
// Made by main before any other thread, so that every thread inherits the blocked signals.
class StopSignal {
 public:
  // `at_once`: called by the second signal, before the end, on a thread of its own.
  explicit StopSignal(std::function<void()> at_once = [] {});
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool asked() const;
  // Waits as long as that, or until asked; true when asked.
  bool wait_for(std::chrono::milliseconds time);

 private:
  void listen(const std::stop_token& stop);

  std::function<void()> at_once_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  std::jthread thread_;
};

}  // namespace pointsman::bench
