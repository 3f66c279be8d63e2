#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "health/core/ids.h"
#include "health/core/time.h"
#include "proxy/deadlines.h"
#include "proxy/loop_clock.h"
#include "proxy/route.h"
#include "proxy/stream_end.h"

namespace pointsman::proxy {

class Session;

// The server's end of a session: one connection to one backend. Owned by the session, which may replace it as
// long as the server has not greeted; worker's thread.
class ServerSide final : public Poller::Deletable, public StreamEnd, private Deadlines::Entry {
 public:
  ServerSide(Session& session, Deadlines& deadlines, const StreamEnv& env, LoopClock& clock,
             core::BackendId backend, std::atomic<std::int64_t>& last_traffic_ns);
  ~ServerSide() override { deadlines_.clear(*this); }

  // At most `connect_timeout` for the connect, then `greeting_timeout` for the first byte. Either way the
  // session is told, unless the status is an error (libuv's).
  int start(const Route& route, core::Duration connect_timeout, core::Duration greeting_timeout);

  // Ends it: nothing of it calls back any more. A reset, unless it was closed before.
  void abandon();

  core::BackendId backend() const { return backend_; }
  core::Instant started() const { return started_; }
  bool connected() const { return connected_; }
  // The server has sent something: this connection cannot be exchanged for another any more.
  bool greeted() const { return greeted_; }

 private:
  void on_connected(int status) override;
  void on_bytes(std::span<const char> bytes) override;
  void on_read_end(int status) override;
  void on_left() override {}  // reading begins with the connect
  void on_backlog() override;
  void on_drained() override;
  void on_send_failed() override;

  // Until the server greets.
  void on_deadline() override;

  Session& session_;
  Deadlines& deadlines_;
  LoopClock& clock_;
  std::atomic<std::int64_t>& last_traffic_ns_;
  core::Instant started_;
  core::Duration greeting_timeout_{};
  core::BackendId backend_;
  bool connected_ = false;
  bool greeted_ = false;
};

}  // namespace pointsman::proxy
