#include "tests/proxy/peers.h"

#include <array>
#include <cerrno>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace pointsman::proxy {

bool eventually(const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

io::Address unix_address(const std::string& path) {
  io::Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  un->sun_family = AF_UNIX;
  path.copy(un->sun_path, sizeof un->sun_path - 1);
  address.length = sizeof *un;
  return address;
}

Peer::Peer(int fd) : fd_(fd) {
  const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::optional<Peer> Peer::connect(const io::Address& to) {
  Peer peer(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(peer.fd_, to.get(), to.length) != 0) return std::nullopt;
  return peer;
}

std::optional<Peer> Peer::connect(const io::Address& to, const io::Address& from) {
  Peer peer(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(peer.fd_, from.get(), from.length) != 0) return std::nullopt;
  if (::connect(peer.fd_, to.get(), to.length) != 0) return std::nullopt;
  return peer;
}

io::Address Peer::own_address() const {
  io::Address address;
  address.length = sizeof address.storage;
  EXPECT_EQ(getsockname(fd_, address.get(), &address.length), 0);
  return address;
}

Peer::~Peer() {
  close();
}

Peer::Peer(Peer&& other) noexcept : fd_(other.fd_.exchange(-1)), end_(other.end_) {}

Peer& Peer::operator=(Peer&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.fd_.exchange(-1);
    end_ = other.end_;
  }
  return *this;
}

bool Peer::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string Peer::read(std::size_t size) {
  std::string got;
  std::array<char, 65536> buffer;
  while (got.size() < size) {
    const ssize_t n = recv(fd_, buffer.data(), std::min(buffer.size(), size - got.size()), 0);
    if (n > 0) {
      got.append(buffer.data(), static_cast<std::size_t>(n));
      continue;
    }
    end_ = n == 0 ? End::orderly : errno == EAGAIN ? End::silent : End::reset;
    break;
  }
  return got;
}

std::string Peer::read_to_end() {
  return read(~std::size_t{0});
}

void Peer::finish() {
  shutdown(fd_, SHUT_WR);
}

void Peer::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

void Peer::close() {
  if (const int fd = fd_.exchange(-1); fd >= 0) ::close(fd);
}

void Peer::read_little_at_a_time() {
  const int size = 4096;
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

TestServer::TestServer(Serve serve, const char* host)
    : serve_(std::move(serve)), address_(*io::Address::numeric({host, 0})) {
  listening_ = socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(listening_, address_.get(), address_.length), 0);
  EXPECT_EQ(getsockname(listening_, address_.get(), &address_.length), 0);
  EXPECT_EQ(listen(listening_, 1024), 0);
  acceptor_ = std::thread([this] { accept_all(); });
}

TestServer::~TestServer() {
  shutdown(listening_, SHUT_RDWR);
  acceptor_.join();
  ::close(listening_);
  {
    const std::lock_guard lock(mutex_);
    for (auto& weak : peers_) {
      if (const auto peer = weak.lock(); peer && peer->fd() >= 0) shutdown(peer->fd(), SHUT_RDWR);
    }
  }
  for (auto& served : threads_) served.thread.join();
}

void TestServer::accept_all() {
  for (;;) {
    const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const auto peer = std::make_shared<Peer>(fd);
    ++accepted_;
    const std::lock_guard lock(mutex_);
    peers_.push_back(peer);
    std::erase_if(threads_, [](Thread& served) {
      if (*served.over) served.thread.join();
      return !served.thread.joinable();
    });
    const auto over = std::make_shared<std::atomic<bool>>(false);
    threads_.push_back({std::thread([this, peer, over] {
                          serve_(*peer);
                          *over = true;
                        }),
                        over});
  }
}

void greet_and_echo(Peer& peer) {
  if (!peer.send_all(greeting)) return;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t n = recv(peer.fd(), buffer.data(), buffer.size(), 0);
    if (n <= 0 || !peer.send_all({buffer.data(), static_cast<std::size_t>(n)})) break;
  }
  peer.finish();
}

TestServer::Serve greet_as(std::string name) {
  return [name = std::move(name)](Peer& peer) {
    peer.send_all(name + "\n");
    peer.read_to_end();
  };
}

ReservedPort::ReservedPort()
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), address_(*io::Address::numeric({"127.0.0.1", 0})) {
  EXPECT_EQ(bind(fd_, address_.get(), address_.length), 0);
  EXPECT_EQ(getsockname(fd_, address_.get(), &address_.length), 0);
}

ReservedPort::~ReservedPort() {
  ::close(fd_);
}

void ReservedPort::listen(int backlog) {
  const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);  // for accept()
  EXPECT_EQ(::listen(fd_, backlog), 0);
}

std::optional<Peer> ReservedPort::accept() {
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  return Peer(fd);
}

std::string pattern(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 2654435761u + 1;
  for (auto& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

}  // namespace pointsman::proxy
