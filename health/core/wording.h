#pragma once

#include <cstdint>
#include <string>

// Words that several sentences share.
namespace pointsman::core {

inline std::string transactions(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " transaction" : " transactions");
}

}  // namespace pointsman::core
