#pragma once

#include <functional>
#include <optional>
#include <string>

#include "health/core/time.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/former_processes.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// `pointsman drain`: no client is accepted any more, and the daemon, which goes on deciding, ends with the
// last session. Control loop's thread.
class DrainWatch {
 public:
  // `over` is called once, when no session is left or the time is over.
  DrainWatch(io::Loop& loop, io::Log& log, Workers& workers, FormerProcesses& formers,
             std::function<void()> over);

  // For `most` at most; again: with another time. The workers close their sockets, and closed() is to be
  // called when they have.
  void begin(core::Duration most);
  // No client can connect any more. A sentence for who asked.
  std::string closed();
  bool begun() const { return until_.has_value(); }
  // nullopt: not begun.
  std::optional<core::Duration> left() const;

 private:
  std::uint64_t sessions() const;  // ours and those of former processes
  void look();

  io::Log& log_;
  Workers& workers_;
  FormerProcesses& formers_;
  std::function<void()> over_;
  std::optional<core::Instant> until_;
  core::Duration most_{};
  bool closed_ = false;
  io::Timer timer_;
};

}  // namespace pointsman::proxy
