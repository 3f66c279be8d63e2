#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace pointsman::core {

// A backend's place in Config::backends; stable for the life of the daemon (reload keeps names in place).
enum class BackendId : std::uint16_t {};
inline std::size_t index(BackendId id) {
  return static_cast<std::size_t>(id);
}

// Counts changes of primary. Durable before use; results that come back under an old one are dropped.
struct Epoch {
  std::uint64_t value = 0;
  auto operator<=>(const Epoch&) const = default;
};

// Names one command given to one server's command thread.
enum class CommandId : std::uint64_t {};

// Names an operator's request that waits for its answer.
enum class RequestId : std::uint64_t {};

}  // namespace pointsman::core
