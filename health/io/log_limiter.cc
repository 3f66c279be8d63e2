#include "health/io/log_limiter.h"

#include <algorithm>
#include <utility>

namespace pointsman::io {

std::optional<std::uint64_t> LogLimiter::pass(std::string_view key, core::Instant now) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    make_room();
    entries_.emplace(key, Entry{now});
    return 0;
  }
  Entry& entry = found->second;
  if (now - entry.passed < interval_) {
    ++entry.held_back;
    return std::nullopt;
  }
  entry.passed = now;
  return std::exchange(entry.held_back, 0);
}

void LogLimiter::make_room() {
  if (entries_.size() < max_keys) return;
  entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& item) { return item.second.passed; }));
}

}  // namespace pointsman::io
