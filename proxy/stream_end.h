#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proxy/stream.h"

namespace pointsman::proxy {

// One end of a session: a stream and what is done with it. Worker's thread.
class StreamEnd : protected Stream::Events {
 public:
  using Pause = Stream::Pause;
  using Sent = Stream::Sent;

  void pause(Pause reason) { stream_->pause(reason); }
  void resume(Pause reason) { stream_->resume(reason); }
  Sent send(std::span<const char> bytes) { return stream_->send(bytes); }
  void finish() { stream_->finish(); }
  void close() { stream_->close(); }
  void close_with_reset() { stream_->close_with_reset(); }

  std::size_t queued_bytes() const { return stream_->queued_bytes(); }
  std::uint64_t bytes_read() const { return stream_->bytes_read(); }
  bool read_ended() const { return stream_->read_ended(); }
  bool reading() const { return stream_->reading(); }
  int fd() const { return stream_->fd(); }

 protected:
  explicit StreamEnd(const StreamEnv& env) : stream_(Stream::make(env, *this)) {}
  ~StreamEnd() = default;

  int adopt(int fd) { return stream_->adopt(fd); }
  int connect(int fd, const sockaddr* address, socklen_t length) {
    return stream_->connect(fd, address, length);
  }

 private:
  const std::unique_ptr<Stream> stream_;
};

}  // namespace pointsman::proxy
