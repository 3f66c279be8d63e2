#include "health/mysql/waker.h"

#include <cerrno>
#include <cstdint>
#include <system_error>

#include <sys/eventfd.h>
#include <unistd.h>

namespace pointsman::mysql {

// Out of descriptors at start: there is no thread to report it from yet, so the constructor throws like
// std::thread's.
Waker::Waker() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Waker::~Waker() {
  ::close(fd_);
}

void Waker::ring() {
  const std::uint64_t one = 1;
  // Fails only when the counter is at its limit, and then it is readable already.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

void Waker::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof count);
}

}  // namespace pointsman::mysql
