#pragma once

#include <functional>

#include <uv.h>

#include "health/core/time.h"
#include "health/io/handle.h"
#include "health/io/loop.h"

namespace pointsman::io {

// One timer. Used on its loop's thread; its callback may destroy it.
//
// libuv counts whole milliseconds and from a clock that it read at the start of the iteration; a duration
// here counts from the moment of the call and is rounded up, so a timer is up to 1 ms late and never early.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_fire);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Both replace whatever was set before. A duration of zero or less fires in the next iteration.
  void start_after(core::Duration delay);
  void start_every(core::Duration period);  // first after one period; at least 1 ms
  void stop();
  bool active() const;

 private:
  static void fire(uv_timer_t* handle);

  std::function<void()> on_fire_;
  Handle<uv_timer_t> handle_;
};

}  // namespace pointsman::io
