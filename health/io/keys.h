#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "health/core/mac.h"
#include "health/io/keyring.h"

namespace pointsman::io {

// The keys of the authkeys file, which may be read again while link sessions use them. Loop's thread.
class Keys final : public core::Keyring {
 public:
  explicit Keys(std::unique_ptr<AuthKeyring> keys) : keys_(std::move(keys)) {}
  void replace(std::unique_ptr<AuthKeyring> keys) { keys_ = std::move(keys); }

  std::uint8_t sending_key() const override { return keys_->sending_key(); }
  std::optional<std::size_t> mac_size(std::uint8_t key) const override { return keys_->mac_size(key); }
  void sign(std::uint8_t key, std::span<const std::uint8_t> bytes,
            std::span<std::uint8_t> mac) const override {
    keys_->sign(key, bytes, mac);
  }
  bool verify(std::uint8_t key, std::span<const std::uint8_t> bytes,
              std::span<const std::uint8_t> mac) const override {
    return keys_->verify(key, bytes, mac);
  }

 private:
  std::unique_ptr<AuthKeyring> keys_;  // never null
};

}  // namespace pointsman::io
