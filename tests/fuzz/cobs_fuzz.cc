#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "health/core/cobs.h"

// Any bytes on the line, cut by what the first byte says: frames are the same however they come, each within
// its bounds, each is what its encoding gives; and after any of it a frame with a leading zero comes through.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pointsman::core;
  using Bytes = std::vector<std::uint8_t>;
  const auto require = [](bool law) {
    if (!law) std::abort();
  };
  if (size == 0) return 0;
  const std::span<const std::uint8_t> stream(data + 1, size - 1);
  const std::size_t piece = std::max<std::size_t>(data[0], 1);

  std::vector<Bytes> frames;
  const auto collect = [&](std::span<const std::uint8_t> frame) {
    require(!frame.empty() && frame.size() <= max_frame);
    frames.emplace_back(frame.begin(), frame.end());
  };
  CobsDecoder whole;
  whole.feed(stream, collect);
  const std::vector<Bytes> expected = std::move(frames);
  frames.clear();
  CobsDecoder pieces;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    pieces.feed(stream.subspan(at, std::min(piece, stream.size() - at)), collect);
  }
  require(frames == expected);
  require(pieces.counters().frames == frames.size());
  require(pieces.counters().malformed == whole.counters().malformed);
  require(pieces.counters().oversized == whole.counters().oversized);

  const auto first = stream.first(std::min(stream.size(), max_frame));
  if (first.empty()) return 0;
  const Bytes encoded = cobs_encode(first, true);
  require(std::ranges::count(encoded, 0) == 2 && encoded.size() == first.size() + 3);
  frames.clear();
  pieces.feed(encoded, collect);
  require(!frames.empty() && std::ranges::equal(frames.back(), first));
  return 0;
}
