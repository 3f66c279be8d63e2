#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/socket.h>
#include <uv.h>

#include "health/io/handle.h"

namespace pointsman::proxy {

// What every stream of one worker shares. The read buffer is free again when on_bytes() returns.
struct StreamEnv {
  uv_loop_t* loop = nullptr;
  std::span<char> read_buffer;
};

// One TCP stream: what the client side and the server side of a session have in common. Owned by its side;
// worker's thread.
//
// Bytes are written at once as far as the kernel takes them. The rest, at most what was given to one send()
// call, is copied and queued, and whoever feeds the stream stops until on_drained(). So a stream without
// backlog has no buffer.
//
// The hooks may close the stream; they must not destroy it (defer that to the loop).
class Stream {
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

  bool is_open() const { return handle_ != nullptr; }
  std::size_t queued_bytes() const { return queued_bytes_; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  // Nothing more comes from the peer.
  bool read_ended() const { return read_ended_; }
  bool reading() const { return paused_ == 0 && !read_ended_ && is_open(); }
  // -1 when closed.
  int fd() const;

 protected:
  explicit Stream(const StreamEnv& env) : env_(env) {}
  ~Stream() = default;

  // Takes over a connected non-blocking socket; it is closed also when that fails. libuv's status.
  int adopt(int fd);
  // Begins to connect, over a non-blocking socket that is taken over likewise; on_connected() follows unless
  // the status is an error.
  int connect(int fd, const sockaddr* address);

 private:
  virtual void on_connected(int status) = 0;
  virtual void on_bytes(std::span<const char> bytes) = 0;
  // The peer ended its direction (status 0) or the stream broke (libuv's error).
  virtual void on_read_end(int status) = 0;
  virtual void on_drained() = 0;
  // Queued bytes could not be written.
  virtual void on_send_failed() = 0;

  struct QueuedWrite;
  Sent queue(std::span<const char> bytes);
  void start_reading();
  static void read_done(uv_stream_t* handle, ssize_t n, const uv_buf_t* buffer);
  static void write_done(uv_write_t* request, int status);

  const StreamEnv& env_;
  io::Handle<uv_tcp_t> handle_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::uint8_t paused_ = static_cast<std::uint8_t>(Pause::not_started);
  bool read_ended_ = false;
  bool finish_when_drained_ = false;
};

}  // namespace pointsman::proxy
