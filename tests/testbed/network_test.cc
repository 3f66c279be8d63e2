#include "tests/testbed/network.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/testbed/process.h"

namespace pointsman::testbed {
namespace {

using Clock = std::chrono::steady_clock;
using Cut = Network::Cut;

constexpr Millis plenty{20000};
constexpr std::uint16_t port = 694;

class NetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Network::why_not(); !why.empty()) GTEST_SKIP() << why;
    auto made = Network::create({"one", "two"});
    ASSERT_TRUE(made) << made.error();
    network = std::move(*made);
  }
  std::unique_ptr<Network> network;
};

// A UDP socket on a host.
class Endpoint {
 public:
  Endpoint(const Network& network, const std::string& host) {
    const auto inside = network.inside(host);
    EXPECT_TRUE(inside) << inside.error();
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = to(network.address(host));
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Endpoint() { close(fd_); }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  void send(const std::string& host, char byte) const {
    const sockaddr_in address = to(host);
    static_cast<void>(sendto(fd_, &byte, 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  // The next byte that comes within `timeout`.
  std::optional<char> receive(Millis timeout) const {
    pollfd item{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&item, 1, static_cast<int>(timeout.count())) != 1) return std::nullopt;
    char byte = 0;
    if (recv(fd_, &byte, 1, 0) != 1) return std::nullopt;
    return byte;
  }

 private:
  static sockaddr_in to(const std::string& host) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    return address;
  }
  int fd_ = -1;
};

// Whether `byte`, sent again and again, arrives.
bool arrives(const Endpoint& from, const Endpoint& at, const std::string& address, char byte,
             Millis patience = plenty) {
  const auto deadline = Clock::now() + patience;
  while (Clock::now() < deadline) {
    from.send(address, byte);
    while (const auto got = at.receive(Millis(20))) {
      if (*got == byte) return true;
    }
  }
  return false;
}

constexpr Millis a_while{300};  // in which an uncut wire would have carried a dozen datagrams

// Two hosts see each other; each has its own loopback, and what listens there is not here.
TEST_F(NetworkTest, ConnectsHosts) {
  const Endpoint one(*network, "one");
  const Endpoint two(*network, "two");
  EXPECT_TRUE(arrives(one, two, network->address("two"), 'a'));
  EXPECT_TRUE(arrives(two, one, network->address("one"), 'b'));
}

// An unplugged host neither hears nor is heard; plugged in again, both.
TEST_F(NetworkTest, UnplugsAHost) {
  const Endpoint one(*network, "one");
  const Endpoint two(*network, "two");
  ASSERT_TRUE(arrives(one, two, network->address("two"), 'a'));
  const auto cut = network->cut("one");
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_FALSE(arrives(one, two, network->address("two"), 'b', a_while));
  EXPECT_FALSE(arrives(two, one, network->address("one"), 'c', a_while));
  const auto mended = network->mend("one");
  ASSERT_TRUE(mended) << mended.error();
  EXPECT_TRUE(arrives(one, two, network->address("two"), 'd'));
  EXPECT_TRUE(arrives(two, one, network->address("one"), 'e'));
}

// Cut one way, then the other way, then both ways without the hosts' seeing it.
TEST_F(NetworkTest, CutsOneWay) {
  const Endpoint one(*network, "one");
  const Endpoint two(*network, "two");
  const std::string to_one = network->address("one");
  const std::string to_two = network->address("two");
  ASSERT_TRUE(arrives(one, two, to_two, 'a') && arrives(two, one, to_one, 'a'));
  auto cut = network->cut("one", Cut::from_host);
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_FALSE(arrives(one, two, to_two, 'b', a_while));
  EXPECT_TRUE(arrives(two, one, to_one, 'c'));
  cut = network->cut("one", Cut::to_host);
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_TRUE(arrives(one, two, to_two, 'd'));
  EXPECT_FALSE(arrives(two, one, to_one, 'e', a_while));
  cut = network->cut("one", Cut::silent);
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_FALSE(arrives(one, two, to_two, 'f', a_while));
  EXPECT_FALSE(arrives(two, one, to_one, 'g', a_while));
  const auto mended = network->mend("one");
  ASSERT_TRUE(mended) << mended.error();
  EXPECT_TRUE(arrives(one, two, to_two, 'h') && arrives(two, one, to_one, 'i'));
}

// Two hosts of three do not reach each other, neither of them sees it, and the third one reaches both.
TEST_F(NetworkTest, CutsBetweenTwoHosts) {
  network = std::move(*Network::create({"one", "two", "three"}));
  const Endpoint one(*network, "one");
  const Endpoint two(*network, "two");
  const Endpoint three(*network, "three");
  const std::string to_one = network->address("one");
  const std::string to_two = network->address("two");
  ASSERT_TRUE(arrives(one, two, to_two, 'a') && arrives(two, one, to_one, 'a'));
  const auto cut = network->cut_between("one", "two");
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_FALSE(arrives(one, two, to_two, 'b', a_while));
  EXPECT_FALSE(arrives(two, one, to_one, 'c', a_while));
  EXPECT_TRUE(arrives(three, one, to_one, 'd') && arrives(three, two, to_two, 'e'));
  EXPECT_TRUE(arrives(one, three, network->address("three"), 'f'));
  EXPECT_TRUE(arrives(two, three, network->address("three"), 'g'));
  const auto mended = network->mend("one");
  ASSERT_TRUE(mended) << mended.error();
  EXPECT_TRUE(arrives(one, two, to_two, 'h') && arrives(two, one, to_one, 'i'));
  EXPECT_FALSE(network->cut_between("one", "nobody"));
}

// A process on a host is an ordinary child with its own pid; it sees that host's eth0 and address, and no
// other.
TEST_F(NetworkTest, RunsProcessesOnAHost) {
  const auto finished =
      run({.argv = {"ip", "-brief", "address"}, .network_namespace = network->path("two")}, plenty);
  ASSERT_TRUE(finished) << finished.error();
  EXPECT_TRUE(finished->out.contains("eth0@")) << finished->out;
  EXPECT_TRUE(finished->out.contains("10.77.0.2/24")) << finished->out;
  EXPECT_FALSE(finished->out.contains("10.77.0.1/24"));
  auto sleeper = Process::start({.argv = {"sleep", "1000"}, .network_namespace = network->path("two")});
  ASSERT_TRUE(sleeper) << sleeper.error();
  EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(sleeper->pid()) + "/ns/net")
                .string()
                .find("net:"),
            0U);
  EXPECT_NE(std::filesystem::read_symlink("/proc/" + std::to_string(sleeper->pid()) + "/ns/net"),
            std::filesystem::read_symlink("/proc/self/ns/net"));
  const auto nowhere = Process::start({.argv = {"true"}, .network_namespace = network->path("three")});
  ASSERT_FALSE(nowhere);
  EXPECT_TRUE(nowhere.error().contains("network namespace")) << nowhere.error();
}

// This thread is back home when it leaves a host.
TEST_F(NetworkTest, LeavesAHost) {
  const auto here = std::filesystem::read_symlink("/proc/thread-self/ns/net");
  {
    const auto one = network->inside("one");
    ASSERT_TRUE(one) << one.error();
    EXPECT_NE(std::filesystem::read_symlink("/proc/thread-self/ns/net"), here);
    const auto two = network->inside("two");
    ASSERT_TRUE(two) << two.error();
  }
  EXPECT_EQ(std::filesystem::read_symlink("/proc/thread-self/ns/net"), here);
}

// Two networks with the same addresses side by side, and nothing of either in the system's own namespace.
TEST_F(NetworkTest, CollidesWithNobody) {
  const auto interfaces = [] { return run({.argv = {"ip", "-brief", "link"}}, plenty)->out; };
  const std::string before = interfaces();
  EXPECT_FALSE(before.contains("sw-")) << before;
  auto other = Network::create({"one", "three"});
  ASSERT_TRUE(other) << other.error();
  EXPECT_EQ((*other)->address("one"), network->address("one"));
  const Endpoint mine(*network, "one");
  const Endpoint theirs(**other, "one");
  const Endpoint three(**other, "three");
  EXPECT_TRUE(arrives(three, theirs, network->address("one"), 'x'));
  EXPECT_FALSE(mine.receive(Millis(0)));
  EXPECT_EQ(interfaces(), before);
}

TEST_F(NetworkTest, RefusesNonsense) {
  EXPECT_FALSE(Network::create({}));
  EXPECT_FALSE(Network::create({"one", "one"}));
  EXPECT_FALSE(Network::create({"a name too long"}));
  EXPECT_FALSE(Network::create({"a/b"}));
  EXPECT_EQ(network->cut("three").error(), "no host three");
  EXPECT_EQ(network->inside("three").error(), "no host three");
  EXPECT_EQ(network->address("three"), "");
}

}  // namespace
}  // namespace pointsman::testbed
