#include "health/io/systemd.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/testbed/files.h"

namespace pointsman::io {
namespace {

// systemd's end: a datagram socket. A path that begins with '@' is in the abstract name space.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  ~NotifySocket() { ::close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // "" when nothing has come: a datagram is there as soon as it is sent.
  std::string next() const {
    std::array<char, 1024> buffer;
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return count < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(count));
  }

 private:
  int fd_;
};

void speak_to(const std::string& path) {
  const NotifySocket systemd(path);
  Systemd daemon(path);
  EXPECT_TRUE(daemon.active());
  daemon.ready("primary dbserv1");
  EXPECT_EQ(systemd.next(), "READY=1\nSTATUS=primary dbserv1");
  daemon.status("no primary\nREADY=0");
  EXPECT_EQ(systemd.next(), "STATUS=no primary READY=0");
  daemon.status("no primary\nREADY=0");
  EXPECT_EQ(systemd.next(), "") << "said already";
  daemon.reloading();
  EXPECT_EQ(systemd.next().substr(0, 27), "RELOADING=1\nMONOTONIC_USEC=");
  daemon.watchdog();
  EXPECT_EQ(systemd.next(), "WATCHDOG=1");
  daemon.stopping();
  EXPECT_EQ(systemd.next(), "STOPPING=1");
}

// The daemon starts, changes, reloads and stops under systemd.
TEST(SystemdTest, Tells) {
  const auto dir = *testbed::TempDirectory::create("systemd");
  speak_to(dir.path() / "notify");
}

// The same where systemd uses an abstract socket, as in containers.
TEST(SystemdTest, TellsAnAbstractSocket) {
  speak_to("@pointsman-test-" + std::to_string(::getpid()));
}

// Started from a shell, or with nonsense in the environment: nothing happens.
TEST(SystemdTest, IsSilentWithoutSystemd) {
  for (const std::string path : {"", "relative", "/nonexistent/notify", "@"}) {
    Systemd daemon(path);
    daemon.ready("x");
    daemon.stopping();
  }
  EXPECT_FALSE(Systemd("").active());
  EXPECT_FALSE(Systemd(std::string(200, '/')).active());
}

// What the unit gives is taken once, and not left for our children.
TEST(SystemdTest, ReadsTheEnvironment) {
  ::setenv("NOTIFY_SOCKET", "/run/x", 1);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const Systemd daemon = Systemd::from_environment();
  EXPECT_TRUE(daemon.active());
  EXPECT_EQ(daemon.watchdog_interval(), std::chrono::microseconds(1'500'000));
  EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_FALSE(Systemd::from_environment().active());
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(Systemd::from_environment().watchdog_interval(), std::nullopt) << "meant for another process";
}

}  // namespace
}  // namespace pointsman::io
