// A process that stands for a large server: it listens on a Unix socket, has touched so much memory, and has
// so many threads.
//   agent_victim SOCKET MEGABYTES THREADS
// SIGUSR1 ends its first thread alone, SIGUSR2 one of the others; everything else does what it always does.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

std::counting_semaphore<> one_more_ends(0);

int complain(const char* what) {
  std::perror(what);
  return 1;
}

int listen_at(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::unlink(path);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return ::listen(fd, 64) == 0 ? fd : -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::size_t bytes = std::strtoull(argv[2], nullptr, 10) << 20U;
  const unsigned long threads = std::strtoul(argv[3], nullptr, 10);
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_CORE, &unlimited);  // where it is not allowed there is no core, and it dies all the same

  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return complain("mmap");
  ::madvise(memory, bytes, MADV_NOHUGEPAGE);  // many small pages take longest to free
  std::memset(memory, 'x', bytes);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (unsigned long i = 0; i < threads; ++i) std::thread([] { one_more_ends.acquire(); }).detach();
  if (listen_at(argv[1]) < 0) return complain(argv[1]);
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGUSR1) ::pthread_exit(nullptr);
    one_more_ends.release();
  }
}
