#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/socket.h>

#include "proxy/poller.h"

namespace pointsman::proxy {

// What every stream of one worker shares. The read buffer is free again when on_bytes() returns.
struct StreamEnv {
  Poller& poller;
  std::span<char> read_buffer;
};

// One TCP stream: what the client side and the server side of a session have in common. Owned by its side;
// worker's thread.
//
// Bytes are written at once as far as the kernel takes them. The rest, at most what was given to one send()
// call, is copied and queued, and whoever feeds the stream stops until on_drained(). So a stream without
// backlog has no buffer.
//
// The kernel tells each change once (edge-triggered), so a stream that pauses or goes on costs no call. What
// it told is remembered until a read finds nothing more.
//
// A status is 0 or libuv's. The hooks may close the stream; they must not destroy it (defer that to the
// loop).
class Stream : public Poller::Watched {
 public:
  enum class Sent : std::uint8_t { all, queued, failed };
  // Why nothing is read. Reading goes on when no reason is left; a new stream is not_started.
  enum class Pause : std::uint8_t { not_started = 1, backpressure = 2, route = 4 };

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void pause(Pause reason);
  void resume(Pause reason);

  // `failed`: the peer is gone; how, the next read tells.
  Sent send(std::span<const char> bytes);
  // Ends our direction (FIN) once what is queued is written. Nothing may be sent afterwards.
  void finish();

  // Both discard what is queued here; no hook is called any more. The kernel still delivers what it took,
  // unless with a reset.
  void close();
  void close_with_reset();

  bool is_open() const { return fd_ >= 0; }
  std::size_t queued_bytes() const;
  std::uint64_t bytes_read() const { return bytes_read_; }
  // Nothing more comes from the peer.
  bool read_ended() const { return read_ended_; }
  bool reading() const { return paused_ == 0 && !read_ended_ && is_open(); }
  // -1 when closed.
  int fd() const { return fd_; }

 protected:
  explicit Stream(const StreamEnv& env);
  ~Stream() override;

  // Takes over a connected non-blocking socket; it is closed also when that fails.
  int adopt(int fd);
  // Begins to connect, over a non-blocking socket that is taken over likewise; on_connected() follows unless
  // the status is an error.
  int connect(int fd, const sockaddr* address, socklen_t length);

 private:
  virtual void on_connected(int status) = 0;
  virtual void on_bytes(std::span<const char> bytes) = 0;
  // The peer ended its direction (status 0) or the stream broke.
  virtual void on_read_end(int status) = 0;
  // The same before reading has begun; it has still to be read.
  virtual void on_left() = 0;
  virtual void on_drained() = 0;
  // Queued bytes could not be written.
  virtual void on_send_failed() = 0;

  struct Backlog;

  void on_ready(std::uint32_t events) final;
  bool finish_connecting();
  // The error that waits on the socket, which is asked only when epoll told of one.
  int broken_status() const;
  void read_some();
  Sent queue(std::span<const char> bytes);
  void flush();
  int take_over(int fd, std::uint32_t events);

  const StreamEnv& env_;
  int fd_ = -1;
  std::uint8_t paused_ = static_cast<std::uint8_t>(Pause::not_started);
  bool connecting_ : 1 = false;
  bool readable_ : 1 = false;  // there may be something to read
  // A read that fills less than the buffer need not have taken everything: an end or an error comes after it.
  bool exhaust_ : 1 = false;
  bool broken_ : 1 = false;  // an error waits on the socket, or has been read
  bool read_ended_ : 1 = false;
  bool finish_when_drained_ : 1 = false;
  bool tells_writable_ : 1 = false;  // epoll does; from the first backlog on
  std::unique_ptr<Backlog> backlog_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace pointsman::proxy
