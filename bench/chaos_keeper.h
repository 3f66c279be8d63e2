#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "tests/testbed/server.h"

namespace pointsman::bench {

// What systemd is to mysqld: starts it again whenever it has ended, as long as that is wanted. And the one
// way to a server for everybody else meanwhile, as a Server bears one thread at a time.
class Keeper {
 public:
  explicit Keeper(testbed::Server& server);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void supervise(bool on) { wanted_ = on; }
  // Waits while it is being started.
  void with(const std::function<void(testbed::Server&)>& act);
  unsigned starts() const { return starts_; }

 private:
  void keep();

  testbed::Server& server_;
  std::mutex mutex_;  // of server_
  std::atomic<bool> wanted_{true};
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> starts_{0};
  std::thread thread_;  // last
};

}  // namespace pointsman::bench
