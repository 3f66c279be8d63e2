#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::proxy {

// Starts this program again, by the name that it was started by, to take this one's place: after an upgrade
// that is the new version. It is asked for by SIGUSR2. Control loop's thread; owned by the daemon.
class Successor {
 public:
  // `command`: as we were called. `environment`: "NAME=VALUE", on top of our own.
  Successor(io::Loop& loop, io::Log& log, std::vector<std::string> command,
            std::vector<std::string> environment);
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  void start();

 private:
  void look();

  io::Log& log_;
  std::vector<std::string> command_;
  std::vector<std::string> environment_;
  // Not waited for once it has our place: then its parent is to be whoever is ours, which systemd counts on.
  pid_t child_ = 0;
  io::Timer timer_;
};

}  // namespace pointsman::proxy
