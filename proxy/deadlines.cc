#include "proxy/deadlines.h"

#include "health/io/clock.h"

namespace pointsman::proxy {

void Deadlines::set(Entry& entry, core::Duration after) {
  clear(entry);
  entry.due_ = io::now() + after;
  entry.set_ = true;
  entries_.emplace(entry.due_, &entry);
  arm();
}

void Deadlines::clear(Entry& entry) {
  if (!entry.set_) return;
  entry.set_ = false;
  entries_.erase({entry.due_, &entry});
  if (entries_.empty()) timer_.stop();  // the loop needs no clock then
}

void Deadlines::arm() {
  if (entries_.empty()) return;
  const core::Instant first = entries_.begin()->first;
  if (timer_.active() && armed_for_ <= first) return;
  armed_for_ = first;
  timer_.start_after(first - io::now());
}

void Deadlines::expire() {
  const core::Instant now = io::now();
  while (!entries_.empty() && entries_.begin()->first <= now) {
    Entry* entry = entries_.begin()->second;
    clear(*entry);
    entry->on_deadline();
  }
  arm();
}

}  // namespace pointsman::proxy
