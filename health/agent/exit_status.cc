#include "health/agent/exit_status.h"

#include <array>
#include <cstdint>

#include <sys/ioctl.h>
#include <sys/wait.h>

namespace pointsman::agent {
namespace {

// linux/pidfd.h since 6.13, which Debian 12 does not have.
struct PidfdInfo {
  std::uint64_t mask;  // in: what is asked; out: what is told
  std::uint64_t cgroup;
  std::array<std::uint32_t, 11> ids;
  std::int32_t exit_status;  // as of waitpid()
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0, which is part of the request's number");

constexpr std::uint64_t info_exit = 1U << 3U;                   // PIDFD_INFO_EXIT, 6.15
constexpr unsigned long get_info = _IOWR(0xFF, 11, PidfdInfo);  // PIDFD_GET_INFO

}  // namespace

std::optional<bool> ended_by_signal(int pidfd) {
  PidfdInfo info{};
  info.mask = info_exit;
  if (::ioctl(pidfd, get_info, &info) != 0 || (info.mask & info_exit) == 0) return std::nullopt;
  return WIFSIGNALED(info.exit_status);
}

}  // namespace pointsman::agent
