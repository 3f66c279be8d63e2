#include "proxy/hold_queue.h"

#include <algorithm>

#include "health/io/clock.h"

namespace pointsman::proxy {

HoldQueue::HoldQueue(io::Loop& loop, Shared& shared, Counter& held_counter)
    : shared_(shared),
      held_counter_(held_counter),
      release_timer_(loop, [this] { release_due(); }),
      expiry_timer_(loop, [this] { expire_due(); }) {}

HoldQueue::~HoldQueue() {
  while (!waiting_.empty()) static_cast<void>(take_first());
}

bool HoldQueue::add(std::uint64_t id, core::Instant accepted, Held& held) {
  const unsigned limit = shared_.limits.max_held.load(std::memory_order_relaxed);
  if (shared_.held.fetch_add(1, std::memory_order_relaxed) >= limit) {
    shared_.held.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  held_counter_.add(1);
  const auto place = waiting_.emplace(id, Waiting{accepted, &held}).first;
  if (place == waiting_.begin()) arm_expiry();
  // In an open route somebody waits only for the backoff or for the rate; both have their time.
  if (open_ && !release_timer_.active()) release_timer_.start_after(backoff_until_ - io::now());
  return true;
}

void HoldQueue::remove(std::uint64_t id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  // The expiry timer may now be early, which is harmless: it looks and sets itself again.
  waiting_.erase(found);
  held_counter_.add(-1);
  shared_.held.fetch_sub(1, std::memory_order_relaxed);
}

HoldQueue::Held& HoldQueue::take_first() {
  const auto first = waiting_.begin();
  Held& held = *first->second.held;
  remove(first->first);
  return held;
}

void HoldQueue::open() {
  open_ = true;
  backoff_ = core::Duration::zero();
  backoff_began_ = backoff_until_ = core::Instant{};
  release_due();
}

void HoldQueue::shut() {
  open_ = false;
  release_timer_.stop();
}

bool HoldQueue::admits() const {
  return open_ && (backoff_ == core::Duration::zero() || io::now() >= backoff_until_);
}

void HoldQueue::backend_failed(core::Instant began) {
  // Many connects fail together; those that began before the current pause say nothing new.
  if (began < backoff_began_) return;
  backoff_ = std::clamp(backoff_ * 2, first_backoff, longest_backoff);
  backoff_began_ = io::now();
  backoff_until_ = backoff_began_ + backoff_;
}

void HoldQueue::release_due() {
  release_timer_.stop();
  while (open_ && !waiting_.empty()) {
    const auto now = io::now();
    if (now < backoff_until_) return release_timer_.start_after(backoff_until_ - now);
    if (const auto wait = shared_.releases.take(now)) return release_timer_.start_after(*wait);
    take_first().on_release();
  }
}

void HoldQueue::expire_due() {
  const auto timeout = shared_.limits.hold_timeout();
  const auto now = io::now();
  while (!waiting_.empty() && waiting_.begin()->second.accepted + timeout <= now)
    take_first().on_hold_timeout();
  arm_expiry();
}

void HoldQueue::arm_expiry() {
  if (waiting_.empty()) return expiry_timer_.stop();
  expiry_timer_.start_after(waiting_.begin()->second.accepted + shared_.limits.hold_timeout() - io::now());
}

void HoldQueue::limits_changed() {
  arm_expiry();
  if (open_) release_due();
}

}  // namespace pointsman::proxy
