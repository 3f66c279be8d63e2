#include "tests/testbed/supervisor.h"

#include <chrono>
#include <cstdio>

namespace pointsman::testbed {

using namespace std::chrono_literals;

Supervisor::Supervisor(Server& server)
    : server_(server), thread_([this] {
        while (!stop_) {
          if (!server_.running()) {
            const auto started = server_.start();
            if (started) ++restarts_;
            if (!started) std::fprintf(stderr, "supervisor: %s\n", started.error().c_str());
          }
          std::this_thread::sleep_for(20ms);
        }
      }) {}

Supervisor::~Supervisor() {
  stop_ = true;
  thread_.join();
}

}  // namespace pointsman::testbed
