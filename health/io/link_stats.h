#pragma once

#include <cstdint>
#include <string>

#include "health/core/frame.h"
#include "health/core/time.h"

namespace pointsman::io {

// The longest heartbeat frame, on every kind of link; bytes.
using core::max_frame;

// What one link has done since it was made. Counters only grow; plain data of the loop's thread.
struct LinkStats {
  std::uint64_t frames_in = 0;  // handed to the owner, good or bad
  std::uint64_t frames_out = 0;
  std::uint64_t bytes_in = 0;  // as they came, framing and noise included
  std::uint64_t bytes_out = 0;
  std::uint64_t dropped_late =
      0;                        // frames never sent: a newer one came first, or the link could not take them
  std::uint64_t oversized = 0;  // longer than any frame, never handed on
  std::uint64_t noise = 0;      // between two delimiters, but not a frame's encoding
  std::uint64_t noise_bytes = 0;  // of both
  std::uint64_t reopened = 0;     // times the device came back
  std::string last_error;         // "": none ever
  core::Instant last_error_at{};
};

}  // namespace pointsman::io
