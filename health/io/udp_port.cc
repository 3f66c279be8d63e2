#include "health/io/udp_port.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "health/io/system_text.h"

namespace pointsman::io {

namespace {

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// ::ffff:10.0.0.1 as 10.0.0.1, which is how the peer's address was configured.
Address unmapped(const Address& a) {
  if (a.family() != AF_INET6) return a;
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&a.storage);
  if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) return a;
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = in6->sin6_port;
  std::memcpy(&in.sin_addr, &in6->sin6_addr.s6_addr[12], sizeof in.sin_addr);
  return Address::from(reinterpret_cast<const sockaddr*>(&in), sizeof in);
}

// The reverse, for a socket that is IPv6.
Address mapped(const Address& a) {
  const auto* in = reinterpret_cast<const sockaddr_in*>(&a.storage);
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = in->sin_port;
  in6.sin6_addr.s6_addr[10] = 0xff;
  in6.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(&in6.sin6_addr.s6_addr[12], &in->sin_addr, sizeof in->sin_addr);
  return Address::from(reinterpret_cast<const sockaddr*>(&in6), sizeof in6);
}

// What sendto() says of an earlier datagram, maybe to another peer, and not of this one.
bool may_be_of_an_earlier_one(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN ||
         error == EPROTO || error == ENOPROTOOPT || error == EACCES;
}

// The extended error among the control messages; 0: none.
int error_of(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const bool v4 = c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR;
    const bool v6 = c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    sock_extended_err e{};
    std::memcpy(&e, CMSG_DATA(c), sizeof e);
    return static_cast<int>(e.ee_errno);
  }
  return 0;
}

}  // namespace

// Room for one recvmmsg(). Each buffer is a frame long: the kernel copies no more, and with MSG_TRUNC tells
// the true length.
struct UdpPort::Batch {
  std::array<std::array<std::uint8_t, max_frame>, max_batch> bytes;
  std::array<Address, max_batch> from;
  std::array<iovec, max_batch> vectors;
  std::array<mmsghdr, max_batch> messages;

  void prepare() {
    for (std::size_t i = 0; i < max_batch; ++i) {
      vectors[i] = {bytes[i].data(), bytes[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i].storage;
      messages[i].msg_hdr.msg_namelen = sizeof from[i].storage;
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

UdpPort::UdpPort(Loop& loop, Callbacks callbacks)
    : loop_(loop),
      callbacks_(std::make_shared<const Callbacks>(std::move(callbacks))),
      batch_(std::make_shared<Batch>()) {}

UdpPort::~UdpPort() {
  poll_.reset();  // libuv forgets the descriptor at once; only then may it be closed
  if (fd_ >= 0) ::close(fd_);
}

std::expected<Descriptor, std::string> open_udp(const Address& listen) {
  const auto fail = [&](int error) {
    return std::unexpected("udp " + listen.to_string() + ": " + system_text(error));
  };
  Descriptor socket(::socket(listen.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail(errno);
  const int fd = socket.get();
  const bool v6 = listen.family() == AF_INET6;
  if (v6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return fail(errno);
  // An IPv6 socket that sends to IPv4 peers gets their errors by the IPv4 option.
  if (!set_option(fd, IPPROTO_IP, IP_RECVERR, 1) && !v6) return fail(errno);
  if (v6 && !set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)) return fail(errno);
  if (::bind(fd, listen.get(), listen.length) != 0) return fail(errno);
  return socket;
}

std::expected<void, std::string> UdpPort::bind(const Address& listen) {
  if (fd_ >= 0) return std::unexpected("udp " + listen.to_string() + ": this port is bound already");
  auto socket = open_udp(listen);
  if (!socket) return std::unexpected(socket.error());
  return adopt(std::move(*socket));
}

std::expected<void, std::string> UdpPort::adopt(Descriptor socket) {
  const auto fail = [&](int error) {
    return std::unexpected("udp " + local_.to_string() + ": " + system_text(error));
  };
  local_.length = sizeof local_.storage;
  if (::getsockname(socket.get(), local_.get(), &local_.length) != 0) return fail(errno);
  auto made =
      make_handle<uv_poll_t>(this, [&](uv_poll_t* h) { return uv_poll_init(loop_.raw(), h, socket.get()); });
  if (!made) return fail(-made.error());
  poll_ = std::move(*made);
  if (!watch()) {
    poll_.reset();
    return fail(EIO);
  }
  fd_ = socket.release();
  return {};
}

void UdpPort::pause() {
  if (poll_) uv_poll_stop(poll_.get());
}

void UdpPort::resume() {
  if (poll_) watch();
}

bool UdpPort::watch() {
  return uv_poll_start(poll_.get(), UV_READABLE, &UdpPort::on_poll) == 0;
}

bool UdpPort::send(const Address& to, std::span<const std::uint8_t> frame) {
  const auto drop = [&](const std::string& why) {
    ++stats_.dropped_late;
    note_error(to, why);
    return false;
  };
  if (fd_ < 0) return drop("not bound");
  if (local_.family() == AF_INET && to.family() == AF_INET6) {
    return drop("an IPv6 address cannot be reached from " + local_.to_string());
  }
  const bool map = local_.family() == AF_INET6 && to.family() == AF_INET;
  const Address target = map ? mapped(to) : to;
  const auto attempt = [&] {
    return ::sendto(fd_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL, target.get(),
                    target.length);
  };
  ssize_t sent = attempt();
  if (sent < 0 && may_be_of_an_earlier_one(errno)) {
    take_errors(false);
    sent = attempt();
  }
  if (sent < 0) return drop(system_text(errno));
  ++stats_.frames_out;
  stats_.bytes_out += frame.size();
  return true;
}

std::uint64_t UdpPort::receive_drops() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> counts{};
  socklen_t length = sizeof counts;
  if (fd_ < 0 || ::getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, counts.data(), &length) != 0) return 0;
  return counts[SK_MEMINFO_DROPS];
}

void UdpPort::note_error(const Address& to, const std::string& text) {
  stats_.last_error = to.length > 0 ? to.to_string() + ": " + text : text;
  stats_.last_error_at = now();
}

void UdpPort::on_poll(uv_poll_t* handle, int status, int /*events*/) {
  auto* self = static_cast<UdpPort*>(handle->data);
  if (self == nullptr) return;
  // libuv stops watching and reports EBADF when poll says "error", which for this socket means that the error
  // queue has something.
  self->take_errors(true);
  if (handle->data == nullptr) return;
  if (status < 0) self->watch();
  self->receive();
}

void UdpPort::take_errors(bool report) {
  const std::shared_ptr<const Callbacks> callbacks = callbacks_;
  const uv_poll_t* alive = poll_.get();
  // A pending error that has no entry in the queue would keep poll at "error" for ever.
  int pending = 0;
  socklen_t length = sizeof pending;
  static_cast<void>(::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &pending, &length));
  for (std::size_t i = 0; i < max_batch; ++i) {
    Address to;
    std::array<std::uint8_t, 1> byte{};
    alignas(cmsghdr) std::array<char, 512> control{};
    iovec vector{byte.data(), byte.size()};
    msghdr message{};
    message.msg_name = &to.storage;
    message.msg_namelen = sizeof to.storage;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(fd_, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (i == 0 && pending != 0) note_error({}, system_text(pending));
      return;
    }
    const int error = error_of(message);
    if (error == 0) continue;
    to.length = message.msg_namelen;
    const Address peer = unmapped(to);
    note_error(peer, system_text(error));
    if (report && callbacks->on_error) {
      callbacks->on_error(peer, system_text(error));
      if (alive->data == nullptr) return;
    }
  }
}

void UdpPort::receive() {
  const std::shared_ptr<const Callbacks> callbacks = callbacks_;
  const std::shared_ptr<Batch> batch = batch_;
  const uv_poll_t* alive = poll_.get();
  batch->prepare();
  const int got = ::recvmmsg(fd_, batch->messages.data(), max_batch, MSG_DONTWAIT | MSG_TRUNC, nullptr);
  if (got < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) note_error({}, system_text(errno));
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
    const mmsghdr& message = batch->messages[i];
    stats_.bytes_in += message.msg_len;
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++stats_.oversized;
      continue;
    }
    ++stats_.frames_in;
    batch->from[i].length = message.msg_hdr.msg_namelen;
    callbacks->on_datagram(unmapped(batch->from[i]), std::span(batch->bytes[i]).first(message.msg_len));
    if (alive->data == nullptr) return;
  }
}

}  // namespace pointsman::io
