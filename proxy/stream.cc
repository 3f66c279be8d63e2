#include "proxy/stream.h"

#include "proxy/polled_stream.h"
#include "proxy/ring_stream.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

std::unique_ptr<Stream> Stream::make(const StreamEnv& env, Events& events) {
  if (Ring* ring = env.poller.ring()) return std::make_unique<RingStream>(env, events, *ring);
  return std::make_unique<PolledStream>(env, events);
}

void Stream::resume(Pause reason) {
  if (paused_ == 0) return;
  paused_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(reason));
  if (reading()) read_on();
}

void Stream::deliver(std::span<const char> bytes) {
  bytes_read_ += bytes.size();
  events_.on_bytes(bytes);
}

void Stream::end_reading(int status) {
  read_ended_ = true;
  events_.on_read_end(status);
}

void Stream::finish() {
  if (!is_open()) return;
  if (queued_bytes() > 0) {
    finish_when_drained_ = true;
  } else {
    ::shutdown(fd_, SHUT_WR);
  }
}

void Stream::drained() {
  if (finish_when_drained_) ::shutdown(fd_, SHUT_WR);
  events_.on_drained();
}

void Stream::close_with_reset() {
  if (is_open()) reset(fd_);
  close();
}

}  // namespace pointsman::proxy
