#pragma once

#include <functional>
#include <optional>
#include <string>

#include "health/core/time.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/timer.h"
#include "proxy/former_processes.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// `pointsman drain`: no client is accepted any more, and the daemon, which goes on deciding, ends with the
// last session. Control loop's thread.
class DrainWatch {
 public:
  // `over` is called once, when no session is left or the time is over.
  DrainWatch(io::Loop& loop, io::Mailbox& mailbox, io::Log& log, Workers& workers, FormerProcesses& formers,
             std::function<void()> over);

  // For `most` at most; again: with another time. `refusing` is called when no client can connect any more,
  // with a sentence for who asked.
  void begin(core::Duration most, std::function<void(const std::string&)> refusing);
  bool begun() const { return until_.has_value(); }
  // nullopt: not begun.
  std::optional<core::Duration> left() const;

 private:
  std::uint64_t sessions() const;  // ours and those of former processes
  void look();

  io::Mailbox& mailbox_;
  io::Log& log_;
  Workers& workers_;
  FormerProcesses& formers_;
  std::function<void()> over_;
  std::optional<core::Instant> until_;
  bool refusing_ = false;
  io::Timer timer_;
};

}  // namespace pointsman::proxy
