#include "health/core/cobs.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace pointsman::core {
namespace {

// A code byte of 255 stands for 254 bytes without a zero behind them.
constexpr std::size_t longest_run = 254;

}  // namespace

std::vector<std::uint8_t> cobs_encode(std::span<const std::uint8_t> frame, bool leading_zero) {
  assert(frame.size() <= longest_run);
  std::vector<std::uint8_t> out;
  out.reserve(frame.size() + 3);
  if (leading_zero) out.push_back(0);
  std::size_t code_at = out.size();  // of the run that is being written; says how far the next zero is
  out.push_back(1);
  for (const std::uint8_t byte : frame) {
    if (byte == 0) {
      code_at = out.size();
      out.push_back(1);
    } else {
      out.push_back(byte);
      ++out[code_at];
    }
  }
  out.push_back(0);
  return out;
}

void CobsDecoder::reset() {
  buffer_.clear();
  skipping_ = false;
}

void CobsDecoder::feed(std::span<const std::uint8_t> bytes, const OnFrame& on_frame) {
  while (!bytes.empty()) {
    const auto zero = std::ranges::find(bytes, 0);
    const auto run = static_cast<std::size_t>(zero - bytes.begin());
    if (!skipping_ && buffer_.size() + run > max_encoded) {
      skipping_ = true;
      ++counters_.oversized;
      counters_.noise_bytes += buffer_.size();
    }
    if (skipping_) counters_.noise_bytes += run;
    if (!skipping_) buffer_.insert(buffer_.end(), bytes.begin(), zero);
    if (zero == bytes.end()) return;
    end_frame(on_frame);
    bytes = bytes.subspan(run + 1);
  }
}

void CobsDecoder::end_frame(const OnFrame& on_frame) {
  if (skipping_ || buffer_.empty()) return reset();
  std::array<std::uint8_t, max_encoded> frame{};
  std::size_t size = 0;
  std::size_t at = 0;
  while (at < buffer_.size()) {
    const std::size_t run = buffer_[at] - 1U;  // no byte of the buffer is zero
    if (run > buffer_.size() - at - 1) break;
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(at) + 1, run, frame.begin() + size);
    size += run;
    at += run + 1;
    // The zero behind the last run is not there; nor is one behind a run of 254, which no frame of ours is
    // long enough for.
    if (at < buffer_.size()) frame[size++] = 0;
  }
  const bool whole = at == buffer_.size() && size > 0 && size <= max_frame;
  if (!whole) {
    ++counters_.malformed;
    counters_.noise_bytes += buffer_.size();
    return reset();
  }
  reset();
  ++counters_.frames;
  on_frame(std::span(frame).first(size));
}

}  // namespace pointsman::core
