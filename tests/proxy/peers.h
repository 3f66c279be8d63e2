#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "health/io/address.h"

// Real peers for the relay's tests, by TCP or a Unix socket: blocking sockets with a deadline on every call.
namespace pointsman::proxy {

io::Address unix_address(const std::string& path);

// Far longer than anything takes, so that only a hang runs into it.
inline constexpr std::chrono::seconds patience{30};

// True as soon as `condition` holds; false when patience is over.
bool eventually(const std::function<bool()>& condition);

// A connected blocking socket. Used by one thread at a time.
class Peer {
 public:
  explicit Peer(int fd);
  static std::optional<Peer> connect(const io::Address& to);
  // From an address of this host.
  static std::optional<Peer> connect(const io::Address& to, const io::Address& from);
  io::Address own_address() const;
  ~Peer();
  Peer(Peer&& other) noexcept;
  Peer& operator=(Peer&& other) noexcept;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool send_all(std::string_view bytes);
  // Exactly `size` bytes; shorter when the other end ended or broke first.
  std::string read(std::size_t size);
  // Everything up to the end.
  std::string read_to_end();
  // How the stream ended, once a read came back short.
  enum class End { none, orderly, reset, silent };
  End end() const { return end_; }

  void finish();  // FIN
  void reset();   // RST, and closed
  void close();
  // A small receive window, so that the other end feels a slow reader soon.
  void read_little_at_a_time();
  int fd() const { return fd_.load(); }

 private:
  std::atomic<int> fd_ = -1;  // the server that ends its peers looks at it
  End end_ = End::none;
};

// A TCP server on a loopback port of the kernel's choice; each connection is served by a thread of its own.
class TestServer {
 public:
  using Serve = std::function<void(Peer&)>;

  explicit TestServer(Serve serve, const char* host = "127.0.0.1");
  // Ends every connection and waits for the threads.
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  const io::Address& address() const { return address_; }
  unsigned accepted() const { return accepted_.load(); }

 private:
  void accept_all();

  Serve serve_;
  int listening_ = -1;
  io::Address address_;
  std::atomic<unsigned> accepted_ = 0;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Peer>> peers_;  // under the mutex
  struct Thread {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> over;
  };
  std::vector<Thread> threads_;  // under the mutex; those that are over are joined when the next comes
  std::thread acceptor_;
};

inline constexpr std::string_view greeting = "hello from the server\n";

// Greets, then sends back what it gets until the other end ends its direction, then ends its own.
void greet_and_echo(Peer& peer);
// Greets with `name` and a newline, then keeps quiet until the other end is gone.
TestServer::Serve greet_as(std::string name);

// A port that nobody listens on, until somebody takes it: bound, not listening.
class ReservedPort {
 public:
  ReservedPort();
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  const io::Address& address() const { return address_; }
  // From now on connects are accepted by the kernel, `backlog` at most; they are served by nobody.
  void listen(int backlog = 64);
  // nullopt when nobody connects.
  std::optional<Peer> accept();

 private:
  int fd_;
  io::Address address_;
};

// Bytes that tell a lost, doubled or swapped piece: a different one at every place.
std::string pattern(std::size_t size, std::uint64_t seed);

}  // namespace pointsman::proxy
