#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace pointsman::core {

// What makes and checks the code at the end of a heartbeat frame. Abstract, because the decision core
// includes no cryptography; the real one is health/io/keyring.h. Keys are named by their number in authkeys,
// 1 to 255. Used by the control loop's thread alone; outlives the sessions that use it.
class Keyring {
 public:
  Keyring() = default;
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;
  virtual ~Keyring() = default;

  // The key that our own frames are signed with; one that mac_size() knows.
  virtual std::uint8_t sending_key() const = 0;
  // Bytes of a code made with this key, at most max_mac; nullopt: there is no such key.
  virtual std::optional<std::size_t> mac_size(std::uint8_t key) const = 0;
  // `mac` has mac_size(key) bytes.
  virtual void sign(std::uint8_t key, std::span<const std::uint8_t> bytes,
                    std::span<std::uint8_t> mac) const = 0;
  // Takes as long for a wrong code as for a right one. False for a key that is not there.
  virtual bool verify(std::uint8_t key, std::span<const std::uint8_t> bytes,
                      std::span<const std::uint8_t> mac) const = 0;

  static constexpr std::size_t max_mac = 16;
};

}  // namespace pointsman::core
