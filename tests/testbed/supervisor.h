#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "tests/testbed/server.h"

namespace pointsman::testbed {

// Starts a server again whenever it has ended, as systemd would; nobody else touches the object meanwhile.
class Supervisor {
 public:
  explicit Supervisor(Server& server);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  unsigned restarts() const { return restarts_; }

 private:
  Server& server_;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> restarts_{0};
  std::thread thread_;
};

}  // namespace pointsman::testbed
