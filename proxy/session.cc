#include "proxy/session.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <uv.h>

#include "health/io/clock.h"
#include "proxy/mysql_packet.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

using Pause = Stream::Pause;
using Sent = Stream::Sent;

std::string seconds_text(core::Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%gs", std::chrono::duration<double>(d).count());
  return text;
}

std::string address_text(const Route& route) {
  return io::Address::from(reinterpret_cast<const sockaddr*>(&route.address), route.address_length)
      .to_string();
}

}  // namespace

Session::Session(SessionEnv& env, std::uint64_t id, core::Instant accepted, const io::Address& client)
    : env_(env), id_(id), accepted_(accepted), client_(*this, env.streams, client) {}

Session::~Session() = default;

void Session::start(int client_fd) {
  if (client_.accept(client_fd) != 0) {
    by(SessionEnd::client_lost);
    return end(Close::orderly, Close::reset);
  }
  if (env_.holds.admits()) return connect();
  hold();
}

// Until the server greets.

void Session::hold() {
  phase_ = Phase::held;
  if (env_.holds.add(id_, accepted_, *this)) return env_.stats.holds.add(1);
  env_.stats.refused_max_held.add(1);
  refuse(mysql_packet::too_many_connections,
         "Too many connections (pointsman: " +
             std::to_string(env_.shared.limits.max_held.load(std::memory_order_relaxed)) +
             " clients already wait for a primary)");
}

void Session::on_release() {
  connect();
}

void Session::connect() {
  const Route& route = *env_.route;
  const auto backend = *route.backend;
  phase_ = Phase::waiting;
  server_ = std::make_unique<ServerSide>(*this, env_.deadlines, env_.streams, env_.clock, backend,
                                         env_.stats.last_traffic_ns[core::index(backend)]);
  env_.stats.active.add(1);
  env_.stats.active_by_backend[core::index(backend)].add(1);
  const auto& limits = env_.shared.limits;
  if (const int status = server_->start(route, limits.connect_timeout(), limits.hold_timeout());
      status != 0) {
    server_failed(status);
  }
}

void Session::server_connected() {
  if (!env_.shared.limits.proxy_header.load(std::memory_order_relaxed)) return;
  // Some dozen bytes into a new connection: the kernel takes them at once, or the read tells why not.
  const auto header = proxy_header::build(client_.address(), local_address(client_.fd()));
  static_cast<void>(server_->send(header.bytes()));
}

void Session::server_failed(int status) {
  last_failure_ = status;
  if (server_->connected() && status == UV_ETIMEDOUT) {
    env_.stats.hold_timeouts.add(1);
    return refuse(mysql_packet::server_shutdown, "pointsman: the primary at " + address_text(*env_.route) +
                                                     " accepted the connection, but did not greet within " +
                                                     seconds_text(env_.shared.limits.hold_timeout()));
  }
  env_.holds.backend_failed(server_->started());
  drop_server();
  hold();
}

void Session::client_left() {
  by(SessionEnd::client);
  end(Close::orderly, Close::reset);
}

void Session::on_hold_timeout() {
  env_.stats.hold_timeouts.add(1);
  refuse(mysql_packet::server_shutdown, hold_timeout_text());
}

std::string Session::hold_timeout_text() const {
  const Route& route = *env_.route;
  const auto waited = seconds_text(env_.shared.limits.hold_timeout());
  if (route.mode == Route::Mode::open && last_failure_ != 0) {
    return "pointsman: cannot connect to the primary at " + address_text(route) + " for " + waited + ": " +
           uv_strerror(last_failure_);
  }
  if (route.mode == Route::Mode::open)
    return "pointsman: not connected to the primary within " + waited + ": too many clients wait";
  return "pointsman: no primary after " + waited + ": " +
         (route.reason.empty() ? "none is routed" : route.reason);
}

void Session::refuse(std::uint16_t error_number, std::string_view text) {
  client_.send_error(error_number, text);
  by(SessionEnd::refused);
  end(Close::orderly, Close::reset);
}

void Session::server_greeted() {
  env_.holds.backend_answered();
  phase_ = Phase::relaying;
  client_.start();
  const core::Duration limit = env_.shared.limits.login_timeout();
  if (limit == core::Duration::zero() || phase_ != Phase::relaying) return;
  logging_in_ = true;
  env_.deadlines.set(*this, limit);
}

void Session::on_deadline() {
  if (!logging_in_) {
    ended_by_ = SessionEnd::half_open_timeout;
    return end(Close::orderly, Close::reset);
  }
  // It takes a place here and at the server, which counts the time of each read only: a byte now and then
  // keeps it waiting for ever.
  by(SessionEnd::login_timeout);
  client_.send_login_error(mysql_packet::read_timeout,
                           "pointsman: no login within " + seconds_text(env_.shared.limits.login_timeout()));
  end(Close::orderly, Close::reset);
}

// The relay.

void Session::client_sent(std::span<const char> bytes) {
  env_.stats.bytes_from_clients.add(static_cast<std::int64_t>(bytes.size()));
  if (client_.bytes_read() - bytes.size() < first_bytes_.size() && begins_with_header(bytes))
    return refuse_header();
  switch (server_->send(env_.filter.pass(Direction::to_server, bytes))) {
    case Sent::all:
      return;
    case Sent::queued:
      return server_lags();
    case Sent::failed:
      return server_unreachable();
  }
}

bool Session::begins_with_header(std::span<const char> bytes) {
  const std::size_t had = client_.bytes_read() - bytes.size();
  const std::size_t more = std::min(first_bytes_.size() - had, bytes.size());
  std::copy_n(bytes.begin(), more, first_bytes_.begin() + static_cast<std::ptrdiff_t>(had));
  return had + more == first_bytes_.size() && proxy_header::tells_header(first_bytes_);
}

// A server that believes us would believe it. The first three bytes, which it may have, say nothing to it.
void Session::refuse_header() {
  constexpr auto fault = proxy_header::Fault::untrusted;
  env_.stats.refused_headers[index(fault)].add(1);
  env_.owner.header_refused(client_.address(), fault);
  client_.send_login_error(mysql_packet::bad_handshake,
                           std::string("pointsman: ") + proxy_header::to_string(fault));
  by(SessionEnd::refused);
  end(Close::orderly, Close::reset);
}

void Session::server_sent(std::span<const char> bytes) {
  env_.stats.bytes_from_servers.add(static_cast<std::int64_t>(bytes.size()));
  if (logging_in_ && client_.bytes_read() > 0) {
    logging_in_ = false;
    env_.deadlines.clear(*this);
  }
  switch (client_.send(env_.filter.pass(Direction::to_client, bytes))) {
    case Sent::all:
      return;
    case Sent::queued:
      return client_lags();
    case Sent::failed:
      return client_unreachable();
  }
}

void Session::server_lags() {
  client_.pause(Pause::backpressure);
}

void Session::client_lags() {
  server_->pause(Pause::backpressure);
}

void Session::server_drained() {
  if (ends_when_delivered_) return end_after_delivery();
  client_.resume(Pause::backpressure);
}

void Session::client_drained() {
  if (ends_when_delivered_) return end_after_delivery();
  server_->resume(Pause::backpressure);
}

void Session::by(SessionEnd reason) {
  if (!ended_by_) ended_by_ = reason;
}

void Session::by_break_of(Side side, int status) {
  const bool stalled = status == UV_ETIMEDOUT;
  if (side == Side::client) return by(stalled ? SessionEnd::client_stalled : SessionEnd::client_lost);
  by(stalled ? SessionEnd::server_stalled : SessionEnd::server_lost);
}

void Session::client_ended(int status) {
  if (status != 0 || client_broken_) {
    by_break_of(Side::client, status);
    return end(Close::reset, Close::reset);
  }
  by(SessionEnd::client);
  if (server_->read_ended()) return end_after_delivery();
  server_->finish();
}

void Session::server_ended(int status) {
  if (status != 0 || server_broken_) {
    by_break_of(Side::server, status);
    // What the server said last goes first: a reset would make the kernel throw it away.
    const bool delivered = client_.queued_bytes() == 0 && unacknowledged(client_.fd()) == 0;
    if (delivered) return end(Close::reset, Close::reset);
    server_->close();
    return end_after_delivery();
  }
  by(SessionEnd::server);
  if (client_.read_ended()) return end_after_delivery();
  client_.finish();
  logging_in_ = false;
  env_.deadlines.set(*this, half_open_limit);
}

void Session::end_after_delivery() {
  if (client_.queued_bytes() == 0 && server_->queued_bytes() == 0) return end(Close::orderly, Close::orderly);
  ends_when_delivered_ = true;
  client_.pause(Pause::backpressure);
}

void Session::client_unreachable() {
  // What it sent before it broke is still to be read, and then how it ended.
  if (!client_.reading()) {
    by(SessionEnd::client_lost);
    return end(Close::reset, Close::reset);
  }
  client_broken_ = true;
  server_->pause(Pause::backpressure);
}

void Session::server_unreachable() {
  // The server's last words may still be on their way, e.g. why it closed.
  if (!server_->read_ended()) {
    server_broken_ = true;
    return client_.pause(Pause::backpressure);
  }
  server_->close();
  end_after_delivery();
}

// Route and end.

bool Session::may_stay(const Route& route) const {
  return route.mode != Route::Mode::closed && (!route.backend || *route.backend == server_->backend());
}

void Session::route_changed() {
  const Route& route = *env_.route;
  switch (phase_) {
    case Phase::held:
    case Phase::ended:
      return;
    case Phase::waiting:
      // Nothing is lost yet: it waits for the new server as if it had just come.
      if (may_stay(route) && route.mode != Route::Mode::draining) return;
      drop_server();
      return hold();
    case Phase::relaying:
      if (!may_stay(route)) {
        by(SessionEnd::route);
        return end_now();
      }
      if (route.mode == Route::Mode::draining) {
        client_.pause(Pause::route);
      } else {
        client_.resume(Pause::route);
      }
      return;
  }
}

void Session::end_now() {
  by(SessionEnd::stop);
  // Nothing was said to it yet, so that it can be told.
  if (phase_ == Phase::held || phase_ == Phase::waiting)
    return refuse(mysql_packet::server_shutdown, "pointsman: the proxy stops");
  // The reset discards what the kernel still had for the old server.
  end(Close::orderly, Close::reset);
}

void Session::drop_server() {
  if (!server_) return;
  env_.stats.active.add(-1);
  env_.stats.active_by_backend[core::index(server_->backend())].add(-1);
  server_->abandon();
  env_.streams.poller.defer_delete(std::move(server_));  // it may be its own callback that we are in
}

void Session::end(Close client, Close server) {
  if (phase_ == Phase::ended) return;
  if (phase_ == Phase::held) env_.holds.remove(id_);
  phase_ = Phase::ended;
  client == Close::reset ? client_.close_with_reset() : client_.close();
  if (server_ && server == Close::orderly) server_->close();
  drop_server();
  env_.deadlines.clear(*this);
  if (ended_by_) env_.stats.ended[index(*ended_by_)].add(1);
  env_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
  env_.owner.session_ended(*this);
}

SessionInfo Session::info(core::Instant now) const {
  SessionInfo info;
  info.id = id_;
  info.client = client_.address().to_string();
  if (server_) info.backend = server_->backend();
  info.age = now - accepted_;
  info.bytes_from_client = client_.bytes_read();
  info.bytes_from_server = server_ ? server_->bytes_read() : 0;
  return info;
}

}  // namespace pointsman::proxy
