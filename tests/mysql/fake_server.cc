#include "tests/mysql/fake_server.h"

#include <array>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::mysql {

FakeServer::FakeServer(std::function<void(int)> serve) : serve_(std::move(serve)) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
  stop_read_ = ends[0];
  stop_write_ = ends[1];
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0)
    throw std::runtime_error("listen");
  ::getsockname(listener_, generic, &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

FakeServer::~FakeServer() {
  ::close(stop_write_);  // its other end becomes readable, for good
  thread_.join();
  ::close(listener_);
  ::close(stop_read_);
}

void FakeServer::run() {
  for (;;) {
    std::array<pollfd, 2> fds{{{stop_read_, POLLIN, 0}, {listener_, POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (fds[0].revents != 0) return;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    serve_(fd);
    ::close(fd);
  }
}

void FakeServer::send(int fd, std::string_view bytes) {
  [[maybe_unused]] const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool FakeServer::wait_for_bytes(int fd) const {
  std::array<pollfd, 2> fds{{{stop_read_, POLLIN, 0}, {fd, POLLIN, 0}}};
  ::poll(fds.data(), fds.size(), -1);
  if (fds[0].revents != 0) return false;
  std::array<char, 4096> bytes{};
  return ::recv(fd, bytes.data(), bytes.size(), 0) > 0;
}

void FakeServer::hold(int fd) const {
  while (wait_for_bytes(fd)) {
  }
}

}  // namespace pointsman::mysql
