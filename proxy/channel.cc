#include "proxy/channel.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

using ControlBytes = std::array<char, CMSG_SPACE(sizeof(int) * Channel::max_files)>;

std::vector<io::Descriptor> files_of(msghdr& message) {
  std::vector<io::Descriptor> files;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      files.emplace_back(fd);
    }
  }
  return files;
}

}  // namespace

std::string Channel::Message::type() const {
  const auto found = body.find("type");
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::expected<void, std::string> Channel::send(const nlohmann::json& body, std::span<const int> files) const {
  std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > max_bytes || files.size() > max_files) return std::unexpected("the message is too long");
  iovec vector{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) ControlBytes control{};
  if (!files.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(header), files.data(), files.size_bytes());
  }
  if (::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return std::unexpected(system_says(errno));
  return {};
}

std::expected<std::optional<Channel::Message>, std::string> Channel::receive() const {
  std::string text(max_bytes, '\0');
  iovec vector{text.data(), text.size()};
  alignas(cmsghdr) ControlBytes control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  // Told once, by a peer that left without reading our last words; its own are still in the queue.
  if (got < 0 && errno == ECONNRESET) got = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got < 0) return std::unexpected(system_says(errno));
  Message received{.body = {}, .files = files_of(message)};
  if (got == 0) return std::unexpected("it has ended");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return std::unexpected("its message came cut off");
  text.resize(static_cast<std::size_t>(got));
  received.body = nlohmann::json::parse(text, nullptr, false);
  if (!received.body.is_object()) return std::unexpected("its message is no JSON object");
  return received;
}

std::expected<Channel::Message, std::string> Channel::wait(core::Duration timeout) const {
  const core::Instant until = io::now() + timeout;
  for (;;) {
    auto message = receive();
    if (!message) return std::unexpected(message.error());
    if (*message) return std::move(**message);
    const core::Duration left = until - io::now();
    if (left <= core::Duration::zero()) return std::unexpected("it does not answer");
    pollfd waiting{fd(), POLLIN, 0};
    static_cast<void>(::poll(&waiting, 1, static_cast<int>(core::to_ms(left)) + 1));
  }
}

Watch::Watch(io::Loop& loop, int fd, std::function<void()> on_readable)
    : on_readable_(std::move(on_readable)) {
  auto made = io::make_handle<uv_poll_t>(this, [&](uv_poll_t* h) { return uv_poll_init(loop.raw(), h, fd); });
  if (!made) return;
  poll_ = std::move(*made);
  uv_poll_start(poll_.get(), UV_READABLE | UV_DISCONNECT, [](uv_poll_t* handle, int, int) {
    // A copy: it may destroy the object that it is called from.
    if (auto* self = static_cast<Watch*>(handle->data)) std::function<void()>(self->on_readable_)();
  });
}

ProcessHandle::ProcessHandle(pid_t pid)
    : pid_(pid), handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

bool ProcessHandle::ended() const {
  if (!handle_) return true;
  pollfd state{handle_.get(), POLLIN, 0};
  return ::poll(&state, 1, 0) > 0;
}

void ProcessHandle::kill() const {
  if (handle_) static_cast<void>(::syscall(SYS_pidfd_send_signal, handle_.get(), SIGKILL, nullptr, 0));
}

}  // namespace pointsman::proxy
