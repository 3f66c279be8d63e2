#include "proxy/introduction.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::proxy {

Introduction::Introduction(io::Loop& loop, int fd, std::uint64_t id, core::Instant accepted,
                           const io::Address& peer, Events& events)
    : fd_(fd), id_(id), accepted_(accepted), peer_(peer), events_(events), late_(loop, [this] {
        events_.on_not_introduced(*this, proxy_header::Fault::late);
      }) {}

std::expected<std::unique_ptr<Introduction>, int> Introduction::begin(io::Loop& loop, int fd,
                                                                      std::uint64_t id,
                                                                      core::Instant accepted,
                                                                      const io::Address& peer,
                                                                      Events& events) {
  std::unique_ptr<Introduction> begun(new Introduction(loop, fd, id, accepted, peer, events));
  auto made =
      io::make_handle<uv_poll_t>(begun.get(), [&](uv_poll_t* h) { return uv_poll_init(loop.raw(), h, fd); });
  if (!made) return std::unexpected(made.error());
  begun->poll_ = std::move(*made);
  const int status = uv_poll_start(begun->poll_.get(), UV_READABLE, [](uv_poll_t* h, int, int) {
    if (auto* self = static_cast<Introduction*>(h->data); self != nullptr) self->read();
  });
  if (status != 0) return std::unexpected(status);
  begun->late_.start_after(limit);
  return begun;
}

Introduction::~Introduction() {
  if (const int fd = release(); fd >= 0) close(fd);
}

int Introduction::release() {
  poll_.reset();  // before the descriptor that it watches goes elsewhere
  late_.stop();
  return std::exchange(fd_, -1);
}

void Introduction::read() {
  auto parsed = proxy_header::parse(header_);
  while (parsed && parsed->missing > 0) {
    const std::size_t had = header_.size();
    header_.resize(had + parsed->missing);
    const ssize_t n = recv(fd_, &header_[had], parsed->missing, 0);
    const int error = errno;
    header_.resize(had + static_cast<std::size_t>(n > 0 ? n : 0));
    if (n < 0 && (error == EAGAIN || error == EINTR)) return;
    if (n <= 0) return events_.on_gone(*this);
    parsed = proxy_header::parse(header_);
  }
  if (!parsed) return events_.on_not_introduced(*this, parsed.error());
  events_.on_introduced(*this, parsed->client.value_or(peer_));
}

}  // namespace pointsman::proxy
