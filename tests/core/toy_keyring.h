#pragma once

#include <algorithm>
#include <array>

#include "health/core/mac.h"

namespace pointsman::core {

// Keys of the tests: number 1 makes codes of 16 bytes, number 2 of 4, as crc does. Not secure: FNV-1a. Equal
// seeds make equal keys.
class ToyKeyring : public Keyring {
 public:
  explicit ToyKeyring(std::uint64_t seed = 0, std::uint8_t sending = 1) : seed_(seed), sending_(sending) {}

  std::uint8_t sending_key() const override { return sending_; }
  std::optional<std::size_t> mac_size(std::uint8_t key) const override {
    if (key == 1) return 16;
    if (key == 2) return 4;
    return std::nullopt;
  }
  void sign(std::uint8_t key, std::span<const std::uint8_t> bytes,
            std::span<std::uint8_t> mac) const override {
    std::uint64_t state = 0xcbf29ce484222325U ^ seed_ * 0x9e3779b97f4a7c15U ^ key;
    const auto mix = [&state](std::uint8_t byte) {
      state = (state ^ byte) * 0x100000001b3U;
      state ^= state >> 29U;
    };
    for (const std::uint8_t byte : bytes) mix(byte);
    for (std::uint8_t& byte : mac) {
      mix(0x5a);
      byte = static_cast<std::uint8_t>(state >> 40U);
    }
  }
  bool verify(std::uint8_t key, std::span<const std::uint8_t> bytes,
              std::span<const std::uint8_t> mac) const override {
    std::array<std::uint8_t, max_mac> right{};
    const auto size = mac_size(key);
    if (!size || mac.size() != *size) return false;
    const auto made = std::span(right).first(*size);
    sign(key, bytes, made);
    return std::ranges::equal(made, mac);
  }

 private:
  std::uint64_t seed_;
  std::uint8_t sending_;
};

}  // namespace pointsman::core
