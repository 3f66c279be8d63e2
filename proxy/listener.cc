#include "proxy/listener.h"

#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

Listener::Listener(io::Loop& loop, Poller& poller, int fd, Events& events)
    : poller_(poller), fd_(fd), events_(events), resume_timer_(loop, [this] { resume(); }) {}

std::expected<std::unique_ptr<Listener>, std::string> Listener::create(io::Loop& loop, Poller& poller, int fd,
                                                                       Events& events) {
  // Accepted sockets inherit it: one call here instead of one for each client.
  tune(fd);
  take_urgent_data(fd);
  std::unique_ptr<Listener> listener(new Listener(loop, poller, fd, events));
  if (const int error = poller.watch(fd, EPOLLIN, *listener); error != 0)
    return std::unexpected("cannot watch a listening socket: " + system_says(error));
  return listener;
}

Listener::~Listener() {
  poller_.forget(fd_, *this);
  close(fd_);
}

void Listener::resume() {
  static_cast<void>(poller_.change(fd_, EPOLLIN, *this));  // needs no memory
}

void Listener::on_ready(std::uint32_t) {
  for (int i = 0; i < batch && accept_one(); ++i) {
  }
}

void Listener::accept_rest() {
  for (int i = 0; i < listen_backlog && accept_one(); ++i) {
  }
}

bool Listener::accept_one() {
  io::Address peer;
  peer.length = sizeof peer.storage;
  const int fd = accept4(fd_, peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    events_.on_accept(fd, peer);
    return true;
  }
  switch (errno) {
    case EAGAIN:
      return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: {
      const int error = errno;
      static_cast<void>(poller_.change(fd_, 0, *this));
      resume_timer_.start_after(pause);
      events_.on_accept_paused(error);
      return false;
    }
    default:
      return true;  // this client has gone already (ECONNABORTED, ...); the next
  }
}

}  // namespace pointsman::proxy
