#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "health/core/frame.h"

// Consistent overhead byte stuffing (Cheshire and Baker, 1999): frames on a serial line without any zero in
// them, so that a zero always ends one, and noise costs one frame and never the stream. Pure.
namespace pointsman::core {

// The bytes to write for `frame` (at most 254 of it, so one byte of overhead), with the zero that ends it.
// With `leading_zero` one stands before it too: after silence or an error, whatever noise the other side
// collected is then ended, and costs nothing.
std::vector<std::uint8_t> cobs_encode(std::span<const std::uint8_t> frame, bool leading_zero = false);

// Finds the frames in a stream of bytes from a line on which anything may stand. Keeps at most max_encoded
// bytes. Used by the thread that reads the line.
class CobsDecoder {
 public:
  // Valid until it returns; must not call feed().
  using OnFrame = std::function<void(std::span<const std::uint8_t>)>;

  static constexpr std::size_t max_encoded = max_frame + 1;  // without the zero

  struct Counters {
    std::uint64_t frames = 0;
    std::uint64_t oversized =
        0;  // more than max_encoded bytes without a zero; counted once until the next zero
    std::uint64_t malformed = 0;    // between two zeros stood what no sender makes
    std::uint64_t noise_bytes = 0;  // of both, without zeros
  };

  CobsDecoder() { buffer_.reserve(max_encoded); }

  // Calls `on_frame` for each frame that ends within `bytes`. Nothing between two zeros is no frame and no
  // error.
  void feed(std::span<const std::uint8_t> bytes, const OnFrame& on_frame);
  // Forgets a frame that has begun: the device was opened again.
  void reset();
  const Counters& counters() const { return counters_; }

 private:
  void end_frame(const OnFrame& on_frame);

  std::vector<std::uint8_t> buffer_;
  bool skipping_ = false;  // until the next zero
  Counters counters_;
};

}  // namespace pointsman::core
