#include "health/io/signal.h"

#include <utility>

namespace pointsman::io {

Signal::Signal(Loop& loop, int signum, std::function<void()> on_signal) : on_signal_(std::move(on_signal)) {
  auto made = make_handle<uv_signal_t>(this, [&](uv_signal_t* h) { return uv_signal_init(loop.raw(), h); });
  if (!made) invariant_broken("uv_signal_init", uv_strerror(made.error()));
  handle_ = std::move(*made);
  const int status = uv_signal_start(
      handle_.get(),
      [](uv_signal_t* h, int) {
        auto* self = static_cast<Signal*>(h->data);
        if (self == nullptr) return;
        auto callback = self->on_signal_;  // a copy: the callback may destroy the object
        callback();
      },
      signum);
  if (status != 0) invariant_broken("uv_signal_start", uv_strerror(status));
}

}  // namespace pointsman::io
