#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "health/io/log.h"
#include "proxy/sockets.h"
#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

// The calls of the relay into the kernel are counted by the linker's --wrap: those of a worker's thread, as
// the test's own peers are in this process too.
namespace {

enum Call : std::size_t { recv_call, send_call, wait_call, control_call, ring_call, call_count };
std::array<std::atomic<std::uint64_t>, call_count> calls;

void count(Call call) {
  thread_local const bool worker = [] {
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    return std::string_view(name.data()).starts_with("worker-");
  }();
  if (worker) calls[call].fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
ssize_t __real_recv(int fd, void* bytes, size_t size, int flags);
ssize_t __real_send(int fd, const void* bytes, size_t size, int flags);
int __real_epoll_wait(int fd, epoll_event* events, int size, int timeout);
int __real_epoll_ctl(int fd, int operation, int of, epoll_event* event);

ssize_t __wrap_recv(int fd, void* bytes, size_t size, int flags) {
  count(recv_call);
  return __real_recv(fd, bytes, size, flags);
}
ssize_t __wrap_send(int fd, const void* bytes, size_t size, int flags) {
  count(send_call);
  return __real_send(fd, bytes, size, flags);
}
int __wrap_epoll_wait(int fd, epoll_event* events, int size, int timeout) {
  count(wait_call);
  return __real_epoll_wait(fd, events, size, timeout);
}
int __wrap_epoll_ctl(int fd, int operation, int of, epoll_event* event) {
  count(control_call);
  return __real_epoll_ctl(fd, operation, of, event);
}
int __real_io_uring_submit_and_wait(io_uring* ring, unsigned wanted);
int __real_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned wanted,
                                            __kernel_timespec* timeout, sigset_t* signals);
int __real_io_uring_submit_and_get_events(io_uring* ring);

int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned wanted) {
  count(ring_call);
  return __real_io_uring_submit_and_wait(ring, wanted);
}
int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned wanted,
                                            __kernel_timespec* timeout, sigset_t* signals) {
  count(ring_call);
  return __real_io_uring_submit_and_wait_timeout(ring, first, wanted, timeout, signals);
}
int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
  count(ring_call);
  return __real_io_uring_submit_and_get_events(ring);
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace pointsman::proxy {
namespace {

using Counts = std::array<std::uint64_t, call_count>;

Counts counted() {
  Counts now{};
  for (std::size_t i = 0; i < call_count; ++i) now[i] = calls[i].load(std::memory_order_relaxed);
  return now;
}

// Both ends of a session.
struct Both {
  Peer client;
  Peer server;
};

class Scale : public testing::Test {
 protected:
  Scale() {
    rlimit files{};
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    backend_.listen();
    auto options = quick_options();
    options.threads = 1;
    proxy_.emplace(options);
    proxy_->set_route(route_to(backend_.address()));
  }

  std::optional<Both> session() {
    auto client = proxy_->connect();
    auto server = backend_.accept();
    if (!client || !server || !server->send_all("hi") || client->read(2) != "hi") return std::nullopt;
    return Both{std::move(*client), std::move(*server)};
  }

  // What so many queries take, one after another.
  Counts calls_of(Both& session, std::uint64_t queries) {
    const Counts before = counted();
    for (std::uint64_t i = 0; i < queries; ++i) {
      EXPECT_TRUE(session.client.send_all("query") && session.server.read(5) == "query");
      EXPECT_TRUE(session.server.send_all("row") && session.client.read(3) == "row");
    }
    Counts after = counted();
    for (std::size_t i = 0; i < call_count; ++i) after[i] -= before[i];
    return after;
  }

  ReservedPort backend_;
  std::optional<ProxyUnderTest> proxy_;
};

// A query and its answer take two calls of the ring and nothing else; by epoll two reads, two writes and two
// waits. Whether there are silent sessions beside them or not: a try that finds nothing, or an entry that is
// made anew, would be seen here.
TEST_F(Scale, CallsOfAQueryDoNotGrowWithSilentSessions) {
  constexpr std::uint64_t queries = 300;
  constexpr unsigned silent_sessions = 1000;
  // Of timers that were set when the sessions began.
  constexpr std::uint64_t wakes_for_nothing = 20;
  auto busy = session();
  ASSERT_TRUE(busy);
  std::vector<Both> silent;
  for (const unsigned wanted : {0u, silent_sessions}) {
    while (silent.size() < wanted) {
      auto one = session();
      ASSERT_TRUE(one) << silent.size();
      silent.push_back(std::move(*one));
    }
    const Counts took = calls_of(*busy, queries);
    const std::uint64_t transfers = by_io_uring() ? 0 : 2 * queries;
    EXPECT_EQ(took[recv_call], transfers) << wanted << " silent";
    EXPECT_EQ(took[send_call], transfers) << wanted << " silent";
    EXPECT_EQ(took[control_call], 0u) << wanted << " silent";
    const std::uint64_t waits = took[by_io_uring() ? ring_call : wait_call];
    EXPECT_GE(waits, 2 * queries - wakes_for_nothing) << wanted << " silent";
    EXPECT_LE(waits, 2 * queries + wakes_for_nothing) << wanted << " silent";
    EXPECT_LE(took[by_io_uring() ? wait_call : ring_call], wakes_for_nothing) << wanted << " silent";
  }
  EXPECT_EQ(proxy_->workers().counts().active, silent_sessions + 1u);
}

// Each login enters its two sockets once and takes them out once; with a ring there is nothing to enter.
TEST_F(Scale, ASessionIsEnteredOnce) {
  constexpr std::uint64_t sessions = 100;
  const Counts before = counted();
  for (std::uint64_t i = 0; i < sessions; ++i) ASSERT_TRUE(session());
  ASSERT_TRUE(proxy_->eventually_active(0));
  EXPECT_EQ(counted()[control_call] - before[control_call], by_io_uring() ? 0 : 4 * sessions);
}

// The soft limit of open files is raised as far as the configuration needs.
TEST(FileLimit, IsRaised) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_file_limit(512), 512u);
  rlimit raised{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &raised), 0);
  EXPECT_EQ(raised.rlim_cur, 512u);
  EXPECT_EQ(raise_file_limit(300), 512u);  // never lowered
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// What lets root raise the hard limit; of the calling thread.
void drop_resource_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  ASSERT_EQ(syscall(SYS_capget, &header, sets.data()), 0);
  sets[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  ASSERT_EQ(syscall(SYS_capset, &header, sets.data()), 0);
}

// What is logged by workers that a thread of its own starts: what that may not do, they may not either.
std::string logged_by(const std::function<void(io::Log&)>& thread) {
  const auto path =
      std::filesystem::path(testing::TempDir()) / ("workers-" + std::to_string(getpid()) + ".log");
  {
    conf::Log to_file;
    to_file.file = path.string();
    const auto log = io::Log::open(to_file);
    EXPECT_TRUE(log) << log.error();
    if (log) std::thread([&] { thread(**log); }).join();
  }
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(path);
  return text;
}

// More sessions are configured than the hard limit has files for: the start says so, and how many it wants.
TEST(FileLimit, TooLowIsReported) {
  auto options = quick_options();
  options.max_connections = 1'000'000;
  const std::string text = logged_by([&](io::Log& log) {
    drop_resource_capability();
    Workers workers({.proxy = options, .log = &log});
    EXPECT_TRUE(workers.start());
  });
  EXPECT_NE(text.find("file limit too small"), std::string::npos) << text;
  EXPECT_NE(text.find("wanted=2000512"), std::string::npos) << text;
}

// As containers do: the call is there, but not for this thread and those that it starts.
void forbid_io_uring() {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

// Clients are served all the same, and the log says by what and why.
TEST(IoUring, ForbiddenIsReported) {
  const TestServer server(greet_and_echo);
  auto options = quick_options();
  options.io_uring = true;
  const std::string text = logged_by([&](io::Log& log) {
    forbid_io_uring();
    Workers workers({.proxy = options, .log = &log});
    ASSERT_TRUE(workers.start());
    workers.set_route(route_to(server.address()));
    const std::uint64_t waits = counted()[wait_call];
    auto client = Peer::connect(*io::Address::numeric(workers.listening().at(0)));
    ASSERT_TRUE(client);
    EXPECT_EQ(client->read(greeting.size()), greeting);
    EXPECT_GT(counted()[wait_call], waits);
  });
  for (unsigned worker = 0; worker < options.threads; ++worker) {
    const std::string line = "no_io_uring worker=" + std::to_string(worker) +
                             " why=\"io_uring: Operation not permitted\" instead=epoll";
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace pointsman::proxy
