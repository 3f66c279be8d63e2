#include "proxy/sockets.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::proxy {

std::string system_says(int error) {
  return std::generic_category().message(error);
}

namespace {

void set_option(int fd, int level, int option, int value) {
  static_cast<void>(setsockopt(fd, level, option, &value, sizeof value));
}

class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::unexpected<std::string> cannot_listen(const io::Address& address, int error) {
  return std::unexpected("cannot listen on " + address.to_string() + ": " + system_says(error));
}

std::expected<void, std::string> bind_socket(int fd, const io::Address& address) {
  if (fd < 0) return cannot_listen(address, errno);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd, address.get(), address.length) != 0) return cannot_listen(address, errno);
  return {};
}

}  // namespace

std::expected<std::vector<io::Address>, std::string> listen_addresses(const conf::HostPort& where) {
  if (const auto numeric = io::Address::numeric(where)) return std::vector{*numeric};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int status = getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed(list, [](addrinfo* a) {
    if (a != nullptr) freeaddrinfo(a);
  });
  if (status != 0) {
    return std::unexpected("cannot listen on " + conf::to_string(where) + ": " + gai_strerror(status));
  }
  std::vector<io::Address> found;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
      found.push_back(io::Address::from(a->ai_addr, a->ai_addrlen));
  }
  if (found.empty())
    return std::unexpected("cannot listen on " + conf::to_string(where) + ": no IPv4 or IPv6 address");
  return found;
}

std::expected<void, std::string> check_free(const io::Address& address) {
  if (address.port() == 0) return {};
  // Without SO_REUSEPORT, so that a second daemon on the same address is found and does not take half of the
  // clients.
  const Socket probe(address.family());
  return bind_socket(probe.get(), address);
}

std::expected<int, std::string> bind_on(io::Address& address) {
  Socket socket(address.family());
  if (socket.get() >= 0) set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (auto bound = bind_socket(socket.get(), address); !bound) return std::unexpected(bound.error());
  if (getsockname(socket.get(), address.get(), &address.length) != 0) return cannot_listen(address, errno);
  return socket.release();
}

void tune(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive_idle.count()));
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive_interval.count()));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
             static_cast<int>(std::chrono::milliseconds(user_timeout).count()));
}

void take_urgent_data(int fd) {
  set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

void reset(int fd) {
  // A close would not do: whatever waits for the socket in the kernel keeps it alive.
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  if (::connect(fd, &nobody, sizeof nobody) == 0) return;
  // A Unix socket has no reset.
  static_cast<void>(::shutdown(fd, SHUT_RDWR));
}

io::Address local_address(int fd) {
  io::Address address;
  address.length = sizeof address.storage;
  if (getsockname(fd, address.get(), &address.length) != 0) return {};
  return address;
}

int unacknowledged(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : 0;
}

rlim_t raise_file_limit(rlim_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur >= wanted) return limit.rlim_cur;
  // Root may raise the hard limit too.
  rlimit raised{wanted, std::max(wanted, limit.rlim_max)};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
  raised = {std::min(wanted, limit.rlim_max), limit.rlim_max};
  return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

}  // namespace pointsman::proxy
