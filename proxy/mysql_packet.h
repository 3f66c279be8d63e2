#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// All that the proxy knows of the MySQL client/server protocol. Pure functions, any thread.
namespace pointsman::proxy::mysql_packet {

// Server error numbers that we send ourselves (MySQL manual, "Server Error Message Reference"). All are of
// the SQLSTATE class 08, connection exceptions, which connection pools retry.
inline constexpr std::uint16_t too_many_connections = 1040;  // ER_CON_COUNT_ERROR, 08004
inline constexpr std::uint16_t bad_handshake = 1043;         // ER_HANDSHAKE_ERROR, 08S01
inline constexpr std::uint16_t server_shutdown = 1053;  // ER_SERVER_SHUTDOWN, 08S01: "not now, connect again"

inline constexpr std::uint16_t read_timeout = 1159;  // ER_NET_READ_INTERRUPTED, 08S01

// Clients keep error texts in buffers of 512 bytes (MYSQL_ERRMSG_SIZE); longer ones are cut here.
inline constexpr std::size_t max_error_text = 480;

// An ERR packet in the place of the server's greeting: the first packet of a connection, sequence number 0.
//
// It has no '#' and SQLSTATE, as MySQL itself sends it here ("ERR_Packet" has them only under
// CLIENT_PROTOCOL_41, and no capabilities are agreed yet): libmysqlclient would show them as part of the
// text, Connector/C and other drivers derive the state from the number.
std::string initial_error(std::uint16_t error_number, std::string_view text);
// The same in the place of the answer to a login: the greeting was packet 0, the login 1.
std::string login_error(std::uint16_t error_number, std::string_view text);

}  // namespace pointsman::proxy::mysql_packet
