#include "health/io/timer.h"

#include <algorithm>
#include <utility>

namespace pointsman::io {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
// Far beyond any use, and keeps the sums below from overflowing.
constexpr core::Duration longest = std::chrono::hours(24 * 365);

std::uint64_t ms_rounded_up(core::Duration d) {
  return static_cast<std::uint64_t>((std::clamp(d, core::Duration::zero(), longest).count() + ns_per_ms - 1) /
                                    ns_per_ms);
}

}  // namespace

Timer::Timer(Loop& loop, std::function<void()> on_fire) : on_fire_(std::move(on_fire)) {
  auto made = make_handle<uv_timer_t>(this, [&](uv_timer_t* h) { return uv_timer_init(loop.raw(), h); });
  if (!made) invariant_broken("uv_timer_init", uv_strerror(made.error()));
  handle_ = std::move(*made);
}

void Timer::start_after(core::Duration delay) {
  // libuv fires when its truncated millisecond clock reaches the due time, so the due time is the wanted
  // moment rounded up.
  const auto from_now = core::Duration(static_cast<std::int64_t>(uv_hrtime())) +
                        std::clamp(delay, core::Duration::zero(), longest);
  const std::uint64_t due_ms = (static_cast<std::uint64_t>(from_now.count()) + ns_per_ms - 1) / ns_per_ms;
  const std::uint64_t loop_ms = uv_now(handle_->loop);
  const std::uint64_t timeout = delay <= core::Duration::zero() || due_ms <= loop_ms ? 0 : due_ms - loop_ms;
  uv_timer_start(handle_.get(), &Timer::fire, timeout, 0);
}

void Timer::start_every(core::Duration period) {
  const std::uint64_t ms = std::max<std::uint64_t>(1, ms_rounded_up(period));
  start_after(period);
  uv_timer_set_repeat(handle_.get(), ms);
}

void Timer::stop() {
  uv_timer_stop(handle_.get());
}

bool Timer::active() const {
  return uv_is_active(as_handle(handle_.get())) != 0;
}

void Timer::fire(uv_timer_t* handle) {
  auto* self = static_cast<Timer*>(handle->data);
  if (self == nullptr) return;
  // The callback may destroy the timer, and with it the function that runs; so it runs from here.
  auto on_fire = std::move(self->on_fire_);
  on_fire();
  if (handle->data != nullptr) static_cast<Timer*>(handle->data)->on_fire_ = std::move(on_fire);
}

}  // namespace pointsman::io
