#pragma once

#include <set>
#include <utility>

#include "health/core/time.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::proxy {

// Instants at which something of a worker is over, on one timer for all of them: a timer of its own for each
// connect would cost every login a handle of libuv and a run of its loop. Most are cleared long before they
// are due. Worker's thread.
class Deadlines {
 public:
  // Cleared before it is deleted.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    virtual ~Entry() = default;

   private:
    friend Deadlines;
    // It is not set any more, and may set or clear any.
    virtual void on_deadline() = 0;
    core::Instant due_{};
    bool set_ = false;
  };

  explicit Deadlines(io::Loop& loop) : timer_(loop, [this] { expire(); }) {}

  // Replaces what was set before.
  void set(Entry& entry, core::Duration after);
  void clear(Entry& entry);

 private:
  void expire();
  void arm();

  std::set<std::pair<core::Instant, Entry*>> entries_;
  io::Timer timer_;
  core::Instant armed_for_{};  // when the timer is active
};

}  // namespace pointsman::proxy
