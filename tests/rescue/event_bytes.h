#pragma once

#include <cstdint>
#include <string>

// Events of binary logs, as bytes.
namespace pointsman::rescue {

inline std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value >>= 8U) text += static_cast<char>(value & 0xffU);
  return text;
}

inline std::string event(unsigned type, const std::string& body, std::uint32_t server = 1,
                         bool checksum = true) {
  const auto size = 19 + body.size() + (checksum ? 4 : 0);
  return little(0, 4) + little(type, 1) + little(server, 4) + little(size, 4) + little(0, 4) + little(0, 2) +
         body + (checksum ? "csum" : "");
}

inline std::string format(char kind = 1) {
  return event(15, little(4, 2) + std::string(50, 'v') + little(0, 4) + little(19, 1) +
                       std::string(40, '\x08') + kind);
}

inline const std::string magic(
    "\xfe"
    "bin",
    4);

}  // namespace pointsman::rescue
