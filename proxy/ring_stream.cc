#include "proxy/ring_stream.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <uv.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

// libuv's statuses are negative errnos on Linux, as the ring's results are; said by its own translation.
int status_of(int result) {
  return uv_translate_sys_error(-result);
}

// Nothing is wrong with the stream: it is to be asked for again.
bool transient(int result) {
  return result == -ENOBUFS || result == -EAGAIN || result == -EINTR || result == -ENOMEM;
}

}  // namespace

RingStream::RingStream(const StreamEnv& env, Events& events, Ring& ring) : Stream(env, events), ring_(ring) {}

RingStream::~RingStream() {
  close();
}

int RingStream::adopt(int fd) {
  fd_ = fd;
  opening_ = ring_.poll(*this, fd, POLLRDHUP);
  return 0;
}

int RingStream::connect(int fd, const sockaddr* address, socklen_t length) {
  fd_ = fd;
  opening_ = ring_.connect(*this, fd, address, length);
  return 0;
}

void RingStream::on_polled() {
  opening_ = Ring::none;
  if (!started()) events_.on_left();
}

void RingStream::on_connect_done(int result) {
  opening_ = Ring::none;
  events_.on_connected(status_of(result));
}

// Reading.

void RingStream::read_on() {
  if (kept_) return env_.poller.again(*this);
  // Nobody watches for the client's leaving any more: the receive tells.
  ring_.give_up(std::exchange(opening_, Ring::none));
  if (receiving_ == Ring::none) receive();
}

void RingStream::receive() {
  receiving_ = ring_.receive(*this, fd_, chunk_);
}

void RingStream::on_received(int result, std::span<const char> bytes, bool more) {
  receiving_ = Ring::none;
  if (transient(result)) {
    chunk_ = Ring::Chunk::small;  // of which there are more
    if (reading()) receive();
    return;
  }
  if (!reading()) {
    kept_ = std::make_unique<Kept>(Kept{result, {bytes.begin(), bytes.end()}});
    return;
  }
  const bool filled = bytes.size() >= (chunk_ == Ring::Chunk::large ? Ring::large_chunk : Ring::small_chunk);
  chunk_ = filled || (more && chunk_ == Ring::Chunk::large) ? Ring::Chunk::large : Ring::Chunk::small;
  take(result, bytes);
  if (reading() && receiving_ == Ring::none) receive();
}

void RingStream::on_ready(std::uint32_t) {
  if (!kept_ || !reading()) return;
  const auto kept = std::move(kept_);
  take(kept->result, kept->bytes);
  if (reading() && receiving_ == Ring::none) receive();
}

void RingStream::take(int result, std::span<const char> bytes) {
  if (result > 0) return deliver(bytes);
  // After an orderly end a reset reads as an end, too; the socket knows better.
  end_reading(result < 0 ? status_of(result) : uv_translate_sys_error(pending_error(fd_)));
}

// Writing.

Stream::Sent RingStream::send(std::span<const char> bytes) {
  if (bytes.empty()) return Sent::all;
  if (!is_open()) return Sent::failed;
  if (sending_ != Ring::none) {
    backlog_.insert(backlog_.end(), bytes.begin(), bytes.end());
    ring_.hurry();
    return Sent::queued;
  }
  sending_ = ring_.send(*this, fd_, bytes);
  sending_bytes_ = bytes.size();
  return Sent::all;
}

void RingStream::on_sent(int result, std::span<const char> bytes) {
  sending_ = Ring::none;
  sending_bytes_ = 0;
  sends_backlog_ = false;
  if (result < 0 && !transient(result)) {
    backlog_ = {};
    return events_.on_send_failed();
  }
  const auto rest = bytes.subspan(static_cast<std::size_t>(std::max(result, 0)));
  const bool lags = !rest.empty() && backlog_.empty();
  backlog_.insert(backlog_.begin(), rest.begin(), rest.end());
  if (lags) events_.on_backlog();
  if (is_open()) send_backlog();
}

void RingStream::send_backlog() {
  if (backlog_.empty()) return drained();
  sending_bytes_ = backlog_.size();
  sends_backlog_ = true;
  sending_ = ring_.send_all(*this, fd_, std::exchange(backlog_, {}));
}

std::size_t RingStream::queued_bytes() const {
  // Whoever asks waits for the end of it.
  if (sending_ != Ring::none) ring_.hurry();
  return sending_bytes_ + backlog_.size();
}

void RingStream::close() {
  if (is_open()) {
    env_.poller.no_more(*this);
    // Between two tries it cannot be given up; the next one fails.
    if (sends_backlog_) ::shutdown(fd_, SHUT_RDWR);
    for (Ring::Ticket* ticket : {&opening_, &receiving_, &sending_})
      ring_.give_up(std::exchange(*ticket, Ring::none));
    ring_.close(std::exchange(fd_, -1));
  }
  sending_bytes_ = 0;
  sends_backlog_ = false;
  backlog_ = {};
  kept_.reset();
}

}  // namespace pointsman::proxy
