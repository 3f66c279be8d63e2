#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "health/io/address.h"
#include "proxy/stream_end.h"

namespace pointsman::proxy {

class Session;

// A client's address, on a Unix socket its family alone, in the size of an IPv6 one; sockaddr_storage is five
// times as large.
class PeerAddress {
 public:
  explicit PeerAddress(const io::Address& address);
  io::Address value() const;

 private:
  std::array<char, 28> bytes_{};  // a sockaddr_in or sockaddr_in6
  socklen_t length_ = 0;
};

// The client's end of a session. Owned by the session; worker's thread.
//
// Until a server has greeted the client nothing is read from it, so it can still be given to any server;
// whether it is still there is watched without reading.
class ClientSide final : public StreamEnd {
 public:
  ClientSide(Session& session, const StreamEnv& env, const io::Address& peer)
      : StreamEnd(env), session_(session), peer_(peer) {}

  // Takes the accepted socket over.
  int accept(int fd) { return adopt(fd); }
  // A server has greeted: reading begins.
  void start() { resume(Pause::not_started); }
  // Instead of a greeting: why there will be none. The session ends afterwards.
  void send_error(std::uint16_t error_number, std::string_view text);
  // After the greeting, in the place of the answer to the client's first packet.
  void send_login_error(std::uint16_t error_number, std::string_view text);

  // Whom the session is for.
  io::Address address() const { return peer_.value(); }

 private:
  void on_connected(int) override {}
  void on_bytes(std::span<const char> bytes) override;
  void on_read_end(int status) override;
  void on_left() override;
  void on_backlog() override;
  void on_drained() override;
  void on_send_failed() override;

  Session& session_;
  PeerAddress peer_;
};

}  // namespace pointsman::proxy
