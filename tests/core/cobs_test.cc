#include "health/core/cobs.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/sim/random.h"

namespace pointsman::core {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Frames found in `stream`, which comes in pieces of `piece` bytes.
std::vector<Bytes> frames_of(CobsDecoder& decoder, const Bytes& stream, std::size_t piece = 4096) {
  std::vector<Bytes> frames;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    decoder.feed(
        std::span(stream).subspan(at, std::min(piece, stream.size() - at)),
        [&frames](std::span<const std::uint8_t> frame) { frames.emplace_back(frame.begin(), frame.end()); });
  }
  return frames;
}

Bytes random_bytes(sim::Random& random, std::size_t size, std::uint64_t values = 256) {
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(values));
  return bytes;
}

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// The examples of the paper's algorithm that are within our length.
TEST(CobsTest, KnownEncodings) {
  EXPECT_EQ(cobs_encode(Bytes{0x00}), (Bytes{1, 1, 0}));
  EXPECT_EQ(cobs_encode(Bytes{0x00, 0x00}), (Bytes{1, 1, 1, 0}));
  EXPECT_EQ(cobs_encode(Bytes{0x11, 0x22, 0x00, 0x33}), (Bytes{3, 0x11, 0x22, 2, 0x33, 0}));
  EXPECT_EQ(cobs_encode(Bytes{0x11, 0x22, 0x33, 0x44}), (Bytes{5, 0x11, 0x22, 0x33, 0x44, 0}));
  EXPECT_EQ(cobs_encode(Bytes{0x11, 0x00, 0x00, 0x00}), (Bytes{2, 0x11, 1, 1, 1, 0}));
  EXPECT_EQ(cobs_encode(Bytes{0x11}, true), (Bytes{0, 2, 0x11, 0}));
}

// Every length and every density of zeros comes back as it was, two bytes longer on the line, however it is
// cut.
TEST(CobsTest, ReadsBackWhatItWrote) {
  sim::Random random(1);
  CobsDecoder decoder;
  std::uint64_t count = 0;
  for (std::size_t size = 1; size <= max_frame; ++size) {
    for (const std::uint64_t values : {1U, 2U, 4U, 256U}) {
      const Bytes frame = random_bytes(random, size, values);
      const Bytes encoded = cobs_encode(frame);
      EXPECT_EQ(encoded.size(), size + 2);
      EXPECT_EQ(std::ranges::count(encoded, 0), 1);
      EXPECT_EQ(frames_of(decoder, encoded, 1 + random.below(20)), std::vector<Bytes>{frame});
      ++count;
    }
  }
  EXPECT_EQ(decoder.counters().frames, count);
  EXPECT_EQ(decoder.counters().malformed + decoder.counters().oversized, 0U);
}

// Noise between frames, with zeros in it or without, costs at most the frame that follows it; with a leading
// zero, none.
TEST(CobsTest, ResynchronisesWithinOneFrame) {
  sim::Random random(2);
  for (int round = 0; round < 2000; ++round) {
    CobsDecoder decoder;
    const Bytes first = random_bytes(random, 1 + random.below(max_frame));
    const Bytes second = random_bytes(random, 1 + random.below(max_frame));
    Bytes stream = random_bytes(random, random.below(600));
    const bool leading_zero = random.one_in(2);
    append(stream, cobs_encode(first, leading_zero));
    append(stream, cobs_encode(second));
    const auto frames = frames_of(decoder, stream, 1 + random.below(64));
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(frames.back(), second);
    if (leading_zero) {
      ASSERT_GE(frames.size(), 2U);
      EXPECT_EQ(frames[frames.size() - 2], first);
    }
  }
}

// A babbling device: any amount without a zero is counted once and kept nowhere.
TEST(CobsTest, OversizedIsCountedOnce) {
  CobsDecoder decoder;
  EXPECT_TRUE(frames_of(decoder, Bytes(1'000'000, 0x55)).empty());
  EXPECT_EQ(decoder.counters().oversized, 1U);
  EXPECT_EQ(frames_of(decoder, Bytes{0, 2, 9, 0}), std::vector<Bytes>{Bytes{9}});
  EXPECT_EQ(decoder.counters().oversized, 1U);
  EXPECT_EQ(decoder.counters().malformed, 0U);

  Bytes longest(CobsDecoder::max_encoded, 1);  // 160 zeros
  longest.push_back(0);
  EXPECT_EQ(frames_of(decoder, longest), std::vector<Bytes>{Bytes(max_frame, 0)});
  Bytes longer(CobsDecoder::max_encoded + 1, 1);
  longer.push_back(0);
  EXPECT_TRUE(frames_of(decoder, longer).empty());
  EXPECT_EQ(decoder.counters().oversized, 2U);
  EXPECT_EQ(decoder.counters().noise_bytes, 1'000'000 + CobsDecoder::max_encoded + 1);
}

// What no sender makes: a run that goes beyond the end, and nothing at all.
TEST(CobsTest, MalformedIsCounted) {
  CobsDecoder decoder;
  EXPECT_TRUE(frames_of(decoder, Bytes{5, 1, 2, 0}).empty());
  EXPECT_TRUE(frames_of(decoder, Bytes{255, 1, 2, 0}).empty());
  EXPECT_TRUE(frames_of(decoder, Bytes{1, 0}).empty()) << "an empty frame";
  EXPECT_EQ(decoder.counters().malformed, 3U);
  EXPECT_TRUE(frames_of(decoder, Bytes(1000, 0)).empty());
  EXPECT_EQ(decoder.counters().malformed, 3U) << "zeros are an idle line";
  EXPECT_EQ(decoder.counters().noise_bytes, 3U + 3U + 1U);
  EXPECT_EQ(decoder.counters().frames, 0U);
}

// The device was opened again: what came before does not go with what comes now.
TEST(CobsTest, ResetForgetsHalfAFrame) {
  CobsDecoder decoder;
  EXPECT_TRUE(frames_of(decoder, Bytes{4, 1, 2}).empty());
  decoder.reset();
  EXPECT_EQ(frames_of(decoder, Bytes{2, 7, 0}), std::vector<Bytes>{Bytes{7}});
}

}  // namespace
}  // namespace pointsman::core
