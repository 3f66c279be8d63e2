#pragma once

#include "proxy/stream.h"

namespace pointsman::proxy {

// A stream that epoll tells when it can read or write. Bytes are written in send(), so `all` means that the
// kernel has them.
//
// The kernel tells each change once (edge-triggered), so a stream that pauses or goes on costs no call. What
// it told is remembered until a read finds nothing more.
class PolledStream final : public Stream {
 public:
  PolledStream(const StreamEnv& env, Events& events);
  ~PolledStream() override;

  int adopt(int fd) override;
  int connect(int fd, const sockaddr* address, socklen_t length) override;
  Sent send(std::span<const char> bytes) override;
  void close() override;
  std::size_t queued_bytes() const override;

 private:
  struct Backlog;

  void on_ready(std::uint32_t events) override;
  void read_on() override;
  bool finish_connecting();
  // The error that waits on the socket, which is asked only when epoll told of one.
  int broken_status() const;
  void read_some();
  Sent queue(std::span<const char> bytes);
  void flush();
  int take_over(int fd, std::uint32_t events);

  bool connecting_ : 1 = false;
  bool readable_ : 1 = false;  // there may be something to read
  // A read that fills less than the buffer need not have taken everything: an end or an error comes after it.
  bool exhaust_ : 1 = false;
  bool broken_ : 1 = false;          // an error waits on the socket, or has been read
  bool tells_writable_ : 1 = false;  // epoll does; from the first backlog on
  std::unique_ptr<Backlog> backlog_;
};

}  // namespace pointsman::proxy
