#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/socket.h>

#include "proxy/poller.h"

namespace pointsman::proxy {

// What every stream of one worker shares.
struct StreamEnv {
  Poller& poller;
  // Of PolledStream; free again when on_bytes() returns. Empty where a Ring has buffers of its own.
  std::span<char> read_buffer;
};

// One TCP stream: what the client side and the server side of a session have in common. Owned by its end;
// worker's thread.
//
// There are two of them: RingStream, by io_uring, and PolledStream, by epoll, where the kernel has no
// io_uring for us. Sessions cannot tell them apart.
//
// Bytes go to the kernel as far as it takes them. The rest is copied and queued, and whoever feeds the stream
// stops until on_drained(). So a stream without backlog has no buffer, and one with a backlog has at most two
// chunks.
//
// A status is 0 or libuv's.
class Stream : public Poller::Watched {
 public:
  // `all`: the kernel has taken them or is about to; should it not take all, on_backlog() tells.
  // `failed`: the peer is gone; how, the next read tells.
  enum class Sent : std::uint8_t { all, queued, failed };
  // Why nothing is read. Reading goes on when no reason is left; a new stream is not_started.
  enum class Pause : std::uint8_t { not_started = 1, backpressure = 2, route = 4 };

  // The end whose stream it is. It may close the stream in each of these; it must not destroy it (defer that
  // to the poller).
  class Events {
   public:
    Events() = default;
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;

    virtual void on_connected(int status) = 0;
    // `bytes` until it returns; send() of another stream of this worker takes them without a copy.
    virtual void on_bytes(std::span<const char> bytes) = 0;
    // The peer ended its direction (status 0) or the stream broke.
    virtual void on_read_end(int status) = 0;
    // The same before reading has begun; it has still to be read.
    virtual void on_left() = 0;
    // Of bytes of which send() said `all`.
    virtual void on_backlog() = 0;
    // Everything that was sent has been taken by the kernel.
    virtual void on_drained() = 0;
    // Bytes that send() took could not be written.
    virtual void on_send_failed() = 0;

   protected:
    ~Events() = default;
  };

  static std::unique_ptr<Stream> make(const StreamEnv& env, Events& events);

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Takes over a connected non-blocking socket; it is closed also when that fails.
  virtual int adopt(int fd) = 0;
  // Begins to connect, over a non-blocking socket that is taken over likewise; on_connected() follows unless
  // the status is an error.
  virtual int connect(int fd, const sockaddr* address, socklen_t length) = 0;

  void pause(Pause reason) { paused_ |= static_cast<std::uint8_t>(reason); }
  void resume(Pause reason);

  virtual Sent send(std::span<const char> bytes) = 0;
  // Ends our direction (FIN) once all is written that was sent. Nothing may be sent afterwards.
  void finish();

  // Both discard what is queued here; nothing is told any more. The kernel still delivers what it
  // took, unless with a reset.
  virtual void close() = 0;
  void close_with_reset();

  bool is_open() const { return fd_ >= 0; }
  // Bytes that were sent and that the kernel has not taken, as far as is known.
  virtual std::size_t queued_bytes() const = 0;
  std::uint64_t bytes_read() const { return bytes_read_; }
  // Nothing more comes from the peer.
  bool read_ended() const { return read_ended_; }
  bool reading() const { return paused_ == 0 && !read_ended_ && is_open(); }
  // -1 when closed.
  int fd() const { return fd_; }

 protected:
  Stream(const StreamEnv& env, Events& events) : env_(env), events_(events) {}

  bool started() const { return (paused_ & static_cast<std::uint8_t>(Pause::not_started)) == 0; }
  void deliver(std::span<const char> bytes);
  void end_reading(int status);
  // Nothing is queued any more.
  void drained();

  const StreamEnv& env_;
  Events& events_;
  int fd_ = -1;

 private:
  // No reason is left not to read. Its end is in the middle of something: nothing is delivered in this call.
  virtual void read_on() = 0;

  std::uint8_t paused_ = static_cast<std::uint8_t>(Pause::not_started);
  bool read_ended_ : 1 = false;
  bool finish_when_drained_ : 1 = false;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace pointsman::proxy
