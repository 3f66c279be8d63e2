#include "proxy/disconnect_watch.h"

#include <array>
#include <cerrno>
#include <system_error>

#include <sys/epoll.h>
#include <unistd.h>

namespace pointsman::proxy {

namespace {

// Reported per wakeup; the rest comes with the next iteration.
constexpr int batch_size = 64;

}  // namespace

std::expected<std::unique_ptr<DisconnectWatch>, std::string> DisconnectWatch::create(io::Loop& loop) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return std::unexpected("epoll_create: " + std::generic_category().message(errno));
  std::unique_ptr<DisconnectWatch> watch(new DisconnectWatch(fd));
  auto made =
      io::make_handle<uv_poll_t>(watch.get(), [&](uv_poll_t* h) { return uv_poll_init(loop.raw(), h, fd); });
  if (!made) return std::unexpected(std::string("uv_poll_init: ") + uv_strerror(made.error()));
  watch->poll_ = std::move(*made);
  uv_poll_start(watch->poll_.get(), UV_READABLE, [](uv_poll_t* h, int, int) {
    if (auto* self = static_cast<DisconnectWatch*>(h->data); self != nullptr) self->report();
  });
  return watch;
}

DisconnectWatch::~DisconnectWatch() {
  poll_.reset();
  close(epoll_fd_);
}

void DisconnectWatch::add(int fd, Watched& watched) {
  epoll_event event{};
  event.events = EPOLLRDHUP;
  event.data.ptr = &watched;
  watched.watched_ = epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void DisconnectWatch::remove(int fd, Watched& watched) {
  if (!watched.watched_) return;
  watched.watched_ = false;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void DisconnectWatch::report() {
  std::array<epoll_event, batch_size> events{};
  const int n = epoll_wait(epoll_fd_, events.data(), batch_size, 0);
  for (int i = 0; i < n; ++i) {
    auto* watched = static_cast<Watched*>(events[static_cast<std::size_t>(i)].data.ptr);
    // One report may have removed another that is in this batch too.
    if (watched->watched_) watched->on_disconnect();
  }
}

}  // namespace pointsman::proxy
