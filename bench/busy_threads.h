#pragma once

#include <thread>
#include <vector>

namespace pointsman::bench {

// Threads that compute and never wait, at the priority of the one who makes them. They end with this object.
class BusyThreads {
 public:
  explicit BusyThreads(unsigned count);

 private:
  std::vector<std::jthread> threads_;
};

}  // namespace pointsman::bench
