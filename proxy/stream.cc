#include "proxy/stream.h"

#include <memory>
#include <vector>

#include <unistd.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

// Owns its bytes: a request calls back even when the stream is closed long since.
struct Stream::QueuedWrite {
  uv_write_t request{};
  std::vector<char> bytes;
};

namespace {

uv_buf_t buffer_of(std::span<const char> bytes) {
  // libuv only reads from the buffers of a write, but takes them as non-const.
  return uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
}

}  // namespace

int Stream::adopt(int fd) {
  auto made = io::make_handle<uv_tcp_t>(this, [&](uv_tcp_t* h) { return uv_tcp_init(env_.loop, h); });
  int status = made ? 0 : made.error();
  if (made) {
    handle_ = std::move(*made);
    status = uv_tcp_open(handle_.get(), fd);
  }
  if (status != 0) {
    ::close(fd);
    handle_.reset();
  }
  return status;
}

int Stream::connect(int fd, const sockaddr* address) {
  if (const int status = adopt(fd); status != 0) return status;
  auto request = std::make_unique<uv_connect_t>();
  const auto done = [](uv_connect_t* req, int status) {
    const std::unique_ptr<uv_connect_t> freed(req);
    if (auto* self = static_cast<Stream*>(req->handle->data); self != nullptr) self->on_connected(status);
  };
  const int status = uv_tcp_connect(request.get(), handle_.get(), address, done);
  if (status == 0) {
    static_cast<void>(request.release());  // libuv calls back, also after a close
  } else {
    handle_.reset();
  }
  return status;
}

void Stream::pause(Pause reason) {
  if (paused_ == 0 && handle_ && !read_ended_) uv_read_stop(io::as_stream(handle_.get()));
  paused_ |= static_cast<std::uint8_t>(reason);
}

void Stream::resume(Pause reason) {
  if (paused_ == 0) return;
  paused_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(reason));
  if (paused_ == 0) start_reading();
}

void Stream::start_reading() {
  if (!handle_ || read_ended_) return;
  const auto give_buffer = [](uv_handle_t* h, std::size_t, uv_buf_t* out) {
    const auto* self = static_cast<Stream*>(h->data);
    *out = self == nullptr ? uv_buf_init(nullptr, 0) : buffer_of(self->env_.read_buffer);
  };
  // Fails only on a stream that is closing or never was connected.
  static_cast<void>(uv_read_start(io::as_stream(handle_.get()), give_buffer, &Stream::read_done));
}

void Stream::read_done(uv_stream_t* handle, ssize_t n, const uv_buf_t* buffer) {
  auto* self = static_cast<Stream*>(handle->data);
  if (self == nullptr || n == 0) return;  // 0: would block
  if (n > 0) {
    const auto size = static_cast<std::size_t>(n);
    self->bytes_read_ += size;
    return self->on_bytes({buffer->base, size});
  }
  self->read_ended_ = true;
  // When bytes and a reset come together, libuv reports the bytes and then an end; the socket knows better.
  self->on_read_end(n == UV_EOF ? uv_translate_sys_error(pending_error(self->fd())) : static_cast<int>(n));
}

Stream::Sent Stream::send(std::span<const char> bytes) {
  if (bytes.empty()) return Sent::all;
  if (!handle_) return Sent::failed;
  if (queued_bytes_ > 0) return queue(bytes);
  const uv_buf_t buffer = buffer_of(bytes);
  const int n = uv_try_write(io::as_stream(handle_.get()), &buffer, 1);
  if (n < 0 && n != UV_EAGAIN) return Sent::failed;
  const auto taken = n < 0 ? std::size_t{0} : static_cast<std::size_t>(n);
  return taken == bytes.size() ? Sent::all : queue(bytes.subspan(taken));
}

Stream::Sent Stream::queue(std::span<const char> bytes) {
  auto write = std::make_unique<QueuedWrite>();
  write->bytes.assign(bytes.begin(), bytes.end());
  write->request.data = write.get();
  const uv_buf_t buffer = buffer_of(write->bytes);
  if (uv_write(&write->request, io::as_stream(handle_.get()), &buffer, 1, &Stream::write_done) != 0)
    return Sent::failed;
  static_cast<void>(write.release());
  queued_bytes_ += bytes.size();
  return Sent::queued;
}

void Stream::write_done(uv_write_t* request, int status) {
  const std::unique_ptr<QueuedWrite> write(static_cast<QueuedWrite*>(request->data));
  auto* self = static_cast<Stream*>(request->handle->data);
  if (self == nullptr) return;
  self->queued_bytes_ -= write->bytes.size();
  if (status < 0) return self->on_send_failed();
  if (self->queued_bytes_ > 0) return;
  if (self->finish_when_drained_) ::shutdown(self->fd(), SHUT_WR);
  self->on_drained();
}

void Stream::finish() {
  if (!handle_) return;
  // Not uv_shutdown(), which would allocate and wait for an event: the socket takes a FIN at once.
  if (queued_bytes_ == 0) {
    ::shutdown(fd(), SHUT_WR);
  } else {
    finish_when_drained_ = true;
  }
}

void Stream::close() {
  handle_.reset();
  queued_bytes_ = 0;
}

void Stream::close_with_reset() {
  if (handle_) reset_on_close(fd());
  close();
}

int Stream::fd() const {
  uv_os_fd_t fd = -1;
  if (handle_) uv_fileno(reinterpret_cast<const uv_handle_t*>(handle_.get()), &fd);
  return fd;
}

}  // namespace pointsman::proxy
