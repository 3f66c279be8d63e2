#include "proxy/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/sockets.h"
#include "tests/proxy/peers.h"

namespace pointsman::proxy {
namespace {

struct Option {
  int level;
  int name;
  int value;
};

// Takes one client, and looks at its socket.
class Accepts final : public Listener::Events {
 public:
  explicit Accepts(Poller& poller) : poller_(poller) {}

  void on_accept(int fd, const io::Address&) override {
    for (const Option& option :
         {Option{IPPROTO_TCP, TCP_NODELAY, 1}, Option{SOL_SOCKET, SO_KEEPALIVE, 1},
          Option{IPPROTO_TCP, TCP_KEEPIDLE, 60}, Option{IPPROTO_TCP, TCP_KEEPINTVL, 10},
          Option{IPPROTO_TCP, TCP_KEEPCNT, 6}, Option{IPPROTO_TCP, TCP_USER_TIMEOUT, 120'000}}) {
      int value = 0;
      socklen_t size = sizeof value;
      EXPECT_EQ(getsockopt(fd, option.level, option.name, &value, &size), 0);
      EXPECT_EQ(value, option.value) << "level " << option.level << ", option " << option.name;
    }
    close(fd);
    accepted = true;
    poller_.stop();
  }
  void on_accept_paused(int) override {}

  bool accepted = false;

 private:
  Poller& poller_;
};

// A client that vanishes must be noticed, and its packets must not wait for others: its socket has the
// options for that though nobody set them on it.
TEST(Listener, AcceptedSocketsAreTuned) {
  io::Loop loop;
  const auto poller = *Poller::create(loop);
  Accepts accepts(*poller);
  auto address = *io::Address::numeric({"127.0.0.1", 0});
  const auto fd = bind_on(address);
  ASSERT_TRUE(fd) << fd.error();
  ASSERT_EQ(::listen(*fd, listen_backlog), 0);
  const auto listener = Listener::create(loop, *poller, *fd, accepts);
  ASSERT_TRUE(listener) << listener.error();
  const auto client = Peer::connect(address);
  ASSERT_TRUE(client);
  io::Timer late(loop, [&] { poller->stop(); });
  late.start_after(patience);
  poller->run();
  EXPECT_TRUE(accepts.accepted);
}

}  // namespace
}  // namespace pointsman::proxy
