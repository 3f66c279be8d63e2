#include "proxy/client_side.h"

#include <algorithm>
#include <cstring>

#include "proxy/mysql_packet.h"
#include "proxy/session.h"

namespace pointsman::proxy {

PeerAddress::PeerAddress(const io::Address& address)
    : length_(std::min<socklen_t>(address.length, static_cast<socklen_t>(bytes_.size()))) {
  std::memcpy(bytes_.data(), &address.storage, length_);
}

io::Address PeerAddress::value() const {
  return io::Address::from(reinterpret_cast<const sockaddr*>(bytes_.data()), length_);
}

void ClientSide::send_error(std::uint16_t error_number, std::string_view text) {
  // A few hundred bytes into an empty socket: the kernel takes them at once or the client is gone.
  static_cast<void>(send(mysql_packet::initial_error(error_number, text)));
}

void ClientSide::send_login_error(std::uint16_t error_number, std::string_view text) {
  static_cast<void>(send(mysql_packet::login_error(error_number, text)));
}

void ClientSide::on_bytes(std::span<const char> bytes) {
  session_.client_sent(bytes);
}
void ClientSide::on_read_end(int status) {
  session_.client_ended(status);
}
void ClientSide::on_backlog() {
  session_.client_lags();
}
void ClientSide::on_drained() {
  session_.client_drained();
}
void ClientSide::on_send_failed() {
  session_.client_unreachable();
}
void ClientSide::on_left() {
  session_.client_left();
}

}  // namespace pointsman::proxy
