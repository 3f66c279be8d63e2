#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "health/core/time.h"
#include "health/io/address.h"
#include "proxy/client_side.h"
#include "proxy/deadlines.h"
#include "proxy/hold_queue.h"
#include "proxy/poller.h"
#include "proxy/proxy_header.h"
#include "proxy/server_side.h"
#include "proxy/session_end.h"
#include "proxy/session_env.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// One client, from its accept to its end. Owned by its worker, on whose thread everything happens.
//
//            on_release              first byte of the server
//   held ------------------> waiting -----------------------> relaying ---> ended
//     ^   (or at once when      |                                             ^
//     |    the route is open)   | the connect fails, the server closes,       |
//     +-------------------------+ or the route changes                        |
//     hold_timeout, the client leaves: an ERR packet or nothing --------------+
//
// Up to the server's first byte nothing was read from the client, so another server can still be tried. From
// then on the two directions are relayed: bytes, backpressure, half-close and reset.
class Session final : public Poller::Deletable, private HoldQueue::Held, private Deadlines::Entry {
 public:
  // `client`: whom it is for, who need not be the peer of the connection.
  Session(SessionEnv& env, std::uint64_t id, core::Instant accepted, const io::Address& client);
  ~Session() override;

  // Takes the client's socket over and connects, or holds. May end the session.
  void start(int client_fd);
  // The worker has a new route.
  void route_changed();
  // At once, as the proxy stops; the client sees the end of the connection, before the greeting an error, the
  // server a reset.
  void end_now();

  std::uint64_t id() const { return id_; }
  SessionInfo info(core::Instant now) const;

  // The worker's index of this session, so that it finds it without searching.
  std::size_t slot = 0;

 private:
  friend ClientSide;
  friend ServerSide;

  enum class Phase : std::uint8_t { held, waiting, relaying, ended };
  enum class Close : std::uint8_t { orderly, reset };
  enum class Side : std::uint8_t { client, server };
  // Half-closed by the server: how long the client may take to see it. MySQL servers never read again after
  // they closed.
  static constexpr core::Duration half_open_limit = std::chrono::seconds(30);

  // From the client side.
  void client_sent(std::span<const char> bytes);
  void client_ended(int status);
  void client_lags();
  void client_drained();
  void client_unreachable();
  void client_left();  // while held or waiting
  // From the server side; until it greeted ...
  void server_connected();
  void server_failed(int status);
  void server_greeted();
  // ... and afterwards.
  void server_sent(std::span<const char> bytes);
  void server_ended(int status);
  void server_lags();
  void server_drained();
  void server_unreachable();
  // Of the login, then of a connection that the server has closed.
  void on_deadline() override;
  // From the hold queue.
  void on_release() override;
  void on_hold_timeout() override;

  bool may_stay(const Route& route) const;
  // The client claims another's address, which only those may whom the listener asks for it.
  bool begins_with_header(std::span<const char> bytes);
  void refuse_header();

  void connect();
  void hold();
  void drop_server();
  void refuse(std::uint16_t error_number, std::string_view text);
  // What it ends by, as soon as that is known; the first counts.
  void by(SessionEnd reason);
  void by_break_of(Side side, int status);
  void end(Close client, Close server);
  void end_after_delivery();
  std::string hold_timeout_text() const;

  SessionEnv& env_;
  const std::uint64_t id_;
  const core::Instant accepted_;
  ClientSide client_;
  std::unique_ptr<ServerSide> server_;  // set in waiting and relaying
  int last_failure_ = 0;                // libuv's status of the last connect that failed
  std::array<char, proxy_header::telling_bytes> first_bytes_{};  // that the client sent
  Phase phase_ = Phase::held;
  bool logging_in_ = false;  // greeted, and the server has not answered it yet
  std::optional<SessionEnd> ended_by_;
  bool ends_when_delivered_ = false;
  // Something could not be sent to it. The send took the error, so that the read may see an orderly end.
  bool client_broken_ = false;
  bool server_broken_ = false;
};

}  // namespace pointsman::proxy
