#include "proxy/polled_stream.h"

#include <cerrno>
#include <vector>

#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

// What the kernel did not take yet.
struct PolledStream::Backlog {
  std::vector<char> bytes;
  std::size_t written = 0;

  std::span<const char> rest() const { return std::span(bytes).subspan(written); }
};

namespace {

// Urgent data too, at which a read stops short.
constexpr std::uint32_t reading_events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr std::uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

// How many bytes the kernel took; -1: the peer is gone.
ssize_t write_some(int fd, std::span<const char> bytes) {
  const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return n < 0 && errno == EAGAIN ? 0 : n;
}

}  // namespace

PolledStream::PolledStream(const StreamEnv& env, Events& events) : Stream(env, events) {}

PolledStream::~PolledStream() {
  close();
}

int PolledStream::take_over(int fd, std::uint32_t events) {
  fd_ = fd;
  const int error = env_.poller.watch(fd, events, *this);
  if (error != 0) close();
  return uv_translate_sys_error(error);
}

int PolledStream::adopt(int fd) {
  return take_over(fd, reading_events);
}

int PolledStream::connect(int fd, const sockaddr* address, socklen_t length) {
  // Watched only then: a socket that does not connect yet looks broken.
  if (::connect(fd, address, length) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    ::close(fd);
    return uv_translate_sys_error(error);
  }
  connecting_ = true;
  tells_writable_ = true;
  return take_over(fd, reading_events | EPOLLOUT);
}

void PolledStream::read_on() {
  if (readable_) env_.poller.again(*this);
}

void PolledStream::on_ready(std::uint32_t events) {
  if (!is_open()) return;  // closed by what came before in this batch
  if ((events & (EPOLLIN | ends)) != 0) readable_ = true;
  if ((events & (EPOLLPRI | ends)) != 0) exhaust_ = true;
  if ((events & EPOLLERR) != 0) broken_ = true;
  if (connecting_) {
    const bool decided = (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    if (!decided || !finish_connecting()) return;
  }
  if (backlog_ && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) flush();
  if (!started() && is_open() && (events & ends) != 0) return events_.on_left();
  if (readable_ && reading()) read_some();
}

int PolledStream::broken_status() const {
  return broken_ ? uv_translate_sys_error(pending_error(fd_)) : 0;
}

bool PolledStream::finish_connecting() {
  connecting_ = false;
  const int status = broken_status();
  events_.on_connected(status);
  return status == 0;
}

// One buffer a turn: then others have theirs. A last word and the end behind it are taken in one.
void PolledStream::read_some() {
  bool filled = false;
  for (int i = 0; i < 2 && !filled; ++i) {
    const ssize_t n = ::recv(fd_, env_.read_buffer.data(), env_.read_buffer.size(), 0);
    if (n < 0 && errno == EAGAIN) {
      readable_ = false;
      return;
    }
    if (n <= 0) {
      // After an orderly end a reset reads as an end, too; the socket knows better.
      return end_reading(n < 0 ? uv_translate_sys_error(errno) : broken_status());
    }
    const auto size = static_cast<std::size_t>(n);
    filled = size == env_.read_buffer.size();
    if (!filled && !exhaust_) readable_ = false;
    deliver(env_.read_buffer.first(size));
    if (!readable_ || !reading()) return;
  }
  env_.poller.again(*this);
}

PolledStream::Sent PolledStream::send(std::span<const char> bytes) {
  if (bytes.empty()) return Sent::all;
  if (!is_open()) return Sent::failed;
  if (backlog_) return queue(bytes);
  const ssize_t n = write_some(fd_, bytes);
  if (n < 0) return Sent::failed;
  const auto taken = static_cast<std::size_t>(n);
  return taken == bytes.size() ? Sent::all : queue(bytes.subspan(taken));
}

PolledStream::Sent PolledStream::queue(std::span<const char> bytes) {
  if (!tells_writable_ && env_.poller.change(fd_, reading_events | EPOLLOUT, *this) != 0) return Sent::failed;
  tells_writable_ = true;
  if (!backlog_) backlog_ = std::make_unique<Backlog>();
  backlog_->bytes.insert(backlog_->bytes.end(), bytes.begin(), bytes.end());
  return Sent::queued;
}

void PolledStream::flush() {
  while (!backlog_->rest().empty()) {
    const ssize_t n = write_some(fd_, backlog_->rest());
    if (n < 0) {
      backlog_.reset();
      return events_.on_send_failed();
    }
    if (n == 0) return;
    backlog_->written += static_cast<std::size_t>(n);
  }
  backlog_.reset();
  drained();
}

void PolledStream::close() {
  if (is_open()) {
    env_.poller.forget(fd_, *this);
    ::close(fd_);
    fd_ = -1;
  }
  backlog_.reset();
}

std::size_t PolledStream::queued_bytes() const {
  return backlog_ ? backlog_->rest().size() : 0;
}

}  // namespace pointsman::proxy
