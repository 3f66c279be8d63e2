#include "proxy/cli/signals.h"

#include <array>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace pointsman::proxy::cli {

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH}) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Signals::~Signals() {
  if (fd_ >= 0) ::close(fd_);
}

Signals::Wake Signals::wait(std::chrono::milliseconds time, int key_fd) {
  std::array<pollfd, 2> fds{pollfd{fd_, POLLIN, 0}, pollfd{key_fd, POLLIN, 0}};
  if (::poll(fds.data(), fds.size(), static_cast<int>(time.count())) <= 0) return Wake::time;
  signalfd_siginfo info{};
  if (fds[0].revents != 0 && ::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGTSTP:
        return Wake::stop;
      case SIGWINCH:
        return Wake::resize;
      default:
        return Wake::end;
    }
  }
  return fds[1].revents != 0 ? Wake::key : Wake::time;
}

void Signals::stop_here() {
  ::raise(SIGSTOP);
}

}  // namespace pointsman::proxy::cli
