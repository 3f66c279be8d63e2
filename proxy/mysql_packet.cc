#include "proxy/mysql_packet.h"

namespace pointsman::proxy::mysql_packet {

namespace {

constexpr char error_header = '\xff';

char low_byte(std::size_t value) {
  return static_cast<char>(value & 0xff);
}

std::string error_packet(char sequence, std::uint16_t error_number, std::string_view text) {
  text = text.substr(0, max_error_text);
  const std::size_t payload = 1 + 2 + text.size();
  std::string packet;
  packet.reserve(4 + payload);
  packet += {low_byte(payload), low_byte(payload >> 8), low_byte(payload >> 16), sequence};
  packet += {error_header, low_byte(error_number), low_byte(std::size_t{error_number} >> 8)};
  packet += text;
  return packet;
}

}  // namespace

std::string initial_error(std::uint16_t error_number, std::string_view text) {
  return error_packet('\0', error_number, text);
}

std::string login_error(std::uint16_t error_number, std::string_view text) {
  return error_packet('\2', error_number, text);
}

}  // namespace pointsman::proxy::mysql_packet
