#include "proxy/server_side.h"

#include <cerrno>

#include <sys/socket.h>
#include <uv.h>

#include "health/io/clock.h"
#include "proxy/session.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

ServerSide::ServerSide(Session& session, Deadlines& deadlines, const StreamEnv& env, LoopClock& clock,
                       core::BackendId backend, std::atomic<std::int64_t>& last_traffic_ns)
    : StreamEnd(env),
      session_(session),
      deadlines_(deadlines),
      clock_(clock),
      last_traffic_ns_(last_traffic_ns),
      started_(io::now()),
      backend_(backend) {}

int ServerSide::start(const Route& route, core::Duration connect_timeout, core::Duration greeting_timeout) {
  const int fd = socket(route.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  tune(fd);
  greeting_timeout_ = greeting_timeout;
  deadlines_.set(*this, connect_timeout);
  return connect(fd, reinterpret_cast<const sockaddr*>(&route.address), route.address_length);
}

void ServerSide::abandon() {
  deadlines_.clear(*this);
  close_with_reset();
}

void ServerSide::on_connected(int status) {
  if (status != 0) return session_.server_failed(status);
  connected_ = true;
  deadlines_.set(*this, greeting_timeout_);
  session_.server_connected();
  resume(Pause::not_started);
}

void ServerSide::on_deadline() {
  session_.server_failed(UV_ETIMEDOUT);
}

void ServerSide::on_bytes(std::span<const char> bytes) {
  last_traffic_ns_.store(clock_.now().time_since_epoch().count(), std::memory_order_relaxed);
  if (!greeted_) {
    greeted_ = true;
    deadlines_.clear(*this);
    session_.server_greeted();
  }
  session_.server_sent(bytes);
}

void ServerSide::on_read_end(int status) {
  if (!greeted_) return session_.server_failed(status == 0 ? UV_EOF : status);
  session_.server_ended(status);
}

// Before the greeting nobody waits to send more, and the read tells that the server is gone.
void ServerSide::on_backlog() {
  if (greeted_) session_.server_lags();
}
void ServerSide::on_drained() {
  if (greeted_) session_.server_drained();
}
void ServerSide::on_send_failed() {
  if (greeted_) session_.server_unreachable();
}

}  // namespace pointsman::proxy
