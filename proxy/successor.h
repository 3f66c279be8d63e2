#pragma once

#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::proxy {

// Starts this program again, by the name that it was started by, to take this one's place: after an upgrade
// that is the new version, and it goes by the configuration as it is then. It is asked for by SIGUSR2, and by
// `reload` for what no running process can change. Control loop's thread; owned by the daemon.
class Successor {
 public:
  // `command`: as we were called. `environment`: "NAME=VALUE", on top of our own.
  Successor(io::Loop& loop, io::Log& log, std::vector<std::string> command,
            std::vector<std::string> environment);
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  // `why_not`: "": it serves, or another process does; else why it never will.
  using OnEnd = std::function<void(const std::string& why_not)>;

  // `on_end` is called once, unless this object ends before.
  void start(OnEnd on_end = {});
  // Another process has our place.
  void handed_over() { end(""); }

 private:
  void look();
  void end(const std::string& why_not);

  io::Log& log_;
  std::vector<std::string> command_;
  std::vector<std::string> environment_;
  // Not waited for once it has our place: then its parent is to be whoever is ours, which systemd counts on.
  pid_t child_ = 0;
  OnEnd on_end_;
  io::Timer timer_;
};

}  // namespace pointsman::proxy
