#pragma once

#include <functional>

#include <uv.h>

#include "health/io/handle.h"
#include "health/io/loop.h"

namespace pointsman::io {

// Calls `on_signal` on the loop's thread whenever the process gets `signum`, as long as the object lives; the
// signal's default action does not happen meanwhile. The callback may destroy it.
class Signal {
 public:
  Signal(Loop& loop, int signum, std::function<void()> on_signal);
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

 private:
  std::function<void()> on_signal_;
  Handle<uv_signal_t> handle_;
};

}  // namespace pointsman::io
