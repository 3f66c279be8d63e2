#include "proxy/listener.h"

#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::proxy {

Listener::Listener(io::Loop& loop, int fd, Events& events)
    : fd_(fd), events_(events), resume_timer_(loop, [this] { resume(); }) {}

std::expected<std::unique_ptr<Listener>, std::string> Listener::create(io::Loop& loop, int fd,
                                                                       Events& events) {
  std::unique_ptr<Listener> listener(new Listener(loop, fd, events));
  auto made = io::make_handle<uv_poll_t>(listener.get(),
                                         [&](uv_poll_t* h) { return uv_poll_init(loop.raw(), h, fd); });
  if (!made)
    return std::unexpected(std::string("cannot watch a listening socket: ") + uv_strerror(made.error()));
  listener->poll_ = std::move(*made);
  listener->resume();
  return listener;
}

Listener::~Listener() {
  poll_.reset();  // before the descriptor that it watches
  close(fd_);
}

void Listener::resume() {
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* h, int, int) {
    if (auto* self = static_cast<Listener*>(h->data); self != nullptr) self->accept_some();
  });
}

void Listener::accept_some() {
  for (int i = 0; i < batch; ++i) {
    io::Address peer;
    peer.length = sizeof peer.storage;
    const int fd = accept4(fd_, peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      events_.on_accept(fd, peer);
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM: {
        const int error = errno;
        uv_poll_stop(poll_.get());
        resume_timer_.start_after(pause);
        return events_.on_accept_paused(error);
      }
      default:
        break;  // this client has gone already (ECONNABORTED, ...); the next
    }
  }
}

}  // namespace pointsman::proxy
