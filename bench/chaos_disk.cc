#include "bench/chaos_disk.h"

#include <cerrno>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace pointsman::bench {

namespace {

std::unexpected<std::string> failed(const std::string& what) {
  return std::unexpected(what + ": " + std::error_code(errno, std::generic_category()).message());
}

// fsopen(2), fsconfig(2), fsmount(2), without the last step, move_mount(2).
int make_tmpfs(int context, const std::string& size) {
  if (::fsconfig(context, FSCONFIG_SET_STRING, "size", size.c_str(), 0) != 0) return -1;
  if (::fsconfig(context, FSCONFIG_SET_STRING, "mode", "0700", 0) != 0) return -1;
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return -1;
  return ::fsmount(context, FSMOUNT_CLOEXEC, 0);
}

}  // namespace

std::expected<SmallDisk, std::string> SmallDisk::create(std::size_t mebibytes) {
  const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return failed("cannot make a file system in memory (for root)");
  const int fd = make_tmpfs(context, std::to_string(mebibytes) + "m");
  const int error = errno;
  ::close(context);
  errno = error;
  if (fd < 0) return failed("cannot make a file system in memory");
  return SmallDisk(fd);
}

SmallDisk::~SmallDisk() {
  if (fd_ >= 0) ::close(fd_);
}

std::filesystem::path SmallDisk::path() const {
  // Not /proc/self: other programs use it too.
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
}

std::expected<void, std::string> SmallDisk::fill() {
  const int fd = ::open(ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return failed("cannot open " + ballast().string());
  const std::vector<char> block(std::size_t{1} << 20, 'x');
  // Ever smaller pieces, until not even a byte fits.
  std::size_t size = block.size();
  while (size > 0) {
    if (::write(fd, block.data(), size) >= 0 || errno == EINTR) continue;
    if (errno != ENOSPC) break;
    size /= 2;
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  if (size > 0) return failed("cannot fill " + path().string());
  return {};
}

void SmallDisk::empty() {
  std::error_code error;
  std::filesystem::remove(ballast(), error);
}

}  // namespace pointsman::bench
