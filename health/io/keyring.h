#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "conf/authkeys.h"
#include "health/core/mac.h"

namespace pointsman::io {

// The keys of an authkeys file, ready for use, by OpenSSL: HMAC with SHA-256, SHA-1 or MD5, of which a frame
// carries the first 16 bytes, and CRC-32 (as in Ethernet and zip), which finds damage and proves nothing.
// Keyed contexts are kept, so that a frame costs two hash blocks. Used by the control loop's thread alone,
// though its methods are const; owned by who owns the links.
class AuthKeyring : public core::Keyring {
 public:
  // Fails, in words, when the library has no such digest (MD5 under FIPS).
  static std::expected<std::unique_ptr<AuthKeyring>, std::string> make(const conf::AuthKeys& keys);
  ~AuthKeyring() override;

  std::uint8_t sending_key() const override { return sending_; }
  std::optional<std::size_t> mac_size(std::uint8_t key) const override;
  void sign(std::uint8_t key, std::span<const std::uint8_t> bytes,
            std::span<std::uint8_t> mac) const override;
  bool verify(std::uint8_t key, std::span<const std::uint8_t> bytes,
              std::span<const std::uint8_t> mac) const override;

 private:
  class Key;

  AuthKeyring();
  const Key* find(std::uint8_t number) const;

  std::uint8_t sending_ = 0;
  std::vector<Key> keys_;
};

// For the nonces of sessions; never 0. Any thread.
std::uint64_t random_nonce();

}  // namespace pointsman::io
