#include "proxy/mysql_packet.h"

namespace pointsman::proxy::mysql_packet {

namespace {

constexpr char error_header = '\xff';

char low_byte(std::size_t value) {
  return static_cast<char>(value & 0xff);
}

}  // namespace

std::string initial_error(std::uint16_t error_number, std::string_view text) {
  text = text.substr(0, max_error_text);
  const std::size_t payload = 1 + 2 + text.size();
  std::string packet;
  packet.reserve(4 + payload);
  packet += {low_byte(payload), low_byte(payload >> 8), low_byte(payload >> 16), /*sequence*/ '\0'};
  packet += {error_header, low_byte(error_number), low_byte(std::size_t{error_number} >> 8)};
  packet += text;
  return packet;
}

}  // namespace pointsman::proxy::mysql_packet
