#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "health/core/time.h"

namespace pointsman::io {

// Keeps a line that repeats (a probe that fails five times a second) from filling the log: each key passes
// once per interval, and then says how many were held back. Pure; owned by whoever logs, used on one thread.
//
//   if (const auto held_back = limiter.pass("probe dbserv1", now)) log.warn("probe failed", {...,
//   {"suppressed", *held_back}});
class LogLimiter {
 public:
  static constexpr std::size_t max_keys = 512;  // beyond it the key that passed longest ago is forgotten

  explicit LogLimiter(core::Duration interval) : interval_(interval) {}

  // nullopt: hold this one back. A value: write it; so many with this key were held back since the last one
  // written.
  std::optional<std::uint64_t> pass(std::string_view key, core::Instant now);

 private:
  struct Entry {
    core::Instant passed;
    std::uint64_t held_back = 0;
  };

  void make_room();

  const core::Duration interval_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace pointsman::io
