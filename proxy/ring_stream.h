#pragma once

#include <vector>

#include "proxy/ring.h"
#include "proxy/stream.h"

namespace pointsman::proxy {

// A stream by io_uring. One receive waits in the kernel while the stream reads; what it brings goes to the
// other stream's send, and both are handed over in the same call that waits for what is next. So a chunk
// costs no call of its own.
//
// A pause leaves the receive where it is: at most one chunk comes, and is kept until reading goes on.
class RingStream final : public Stream, private Ring::User {
 public:
  RingStream(const StreamEnv& env, Events& events, Ring& ring);
  ~RingStream() override;

  int adopt(int fd) override;
  int connect(int fd, const sockaddr* address, socklen_t length) override;
  Sent send(std::span<const char> bytes) override;
  void close() override;
  std::size_t queued_bytes() const override;

 private:
  // What came during a pause.
  struct Kept {
    int result;
    std::vector<char> bytes;
  };

  void on_ready(std::uint32_t events) override;
  void read_on() override;
  void on_polled() override;
  void on_connect_done(int result) override;
  void on_received(int result, std::span<const char> bytes, bool more) override;
  void on_sent(int result, std::span<const char> bytes) override;

  void receive();
  void take(int result, std::span<const char> bytes);
  // Goes on with the backlog, or tells that there is none.
  void send_backlog();

  Ring& ring_;
  Ring::Ticket opening_ = Ring::none;  // the connect, or until the start the watch for a client that leaves
  Ring::Ticket receiving_ = Ring::none;
  Ring::Ticket sending_ = Ring::none;
  Ring::Chunk chunk_ = Ring::Chunk::small;
  bool sends_backlog_ = false;  // and not what came just now
  std::size_t sending_bytes_ = 0;
  std::vector<char> backlog_;  // behind those
  std::unique_ptr<Kept> kept_;
};

}  // namespace pointsman::proxy
