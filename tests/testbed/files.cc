#include "tests/testbed/files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <random>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/io/system_text.h"

namespace pointsman::testbed {

using io::system_text;

namespace fs = std::filesystem;

namespace {

fs::path temporary_root() {
  const char* configured = std::getenv("TMPDIR");
  return configured != nullptr && *configured != '\0' ? configured : "/tmp";
}

// The range is below the kernel's ephemeral ports (32768 and up) and above most registered services.
constexpr int first_port = 20000;
constexpr int port_count = 12000;

bool can_bind(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

}  // namespace

std::expected<TempDirectory, std::string> TempDirectory::create(std::string_view stem) {
  std::string pattern = (temporary_root() / ("pm-" + std::string(stem) + ".XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return std::unexpected("cannot make a folder " + pattern + ": " + system_text(errno));
  }
  TempDirectory made;
  made.path_ = pattern;
  return made;
}

std::expected<TempDirectory, std::string> TempDirectory::create_at(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return std::unexpected("cannot make the folder " + path.string() + ": " + error.message());
  if (!fs::is_empty(path, error) || error)
    return std::unexpected("the folder " + path.string() + " is not empty");
  fs::permissions(path, fs::perms::owner_all, error);
  if (error) return std::unexpected("cannot set the mode of " + path.string() + ": " + error.message());
  TempDirectory made;
  made.path_ = fs::absolute(path, error);
  return made;
}

TempDirectory::~TempDirectory() {
  if (path_.empty() || keep_) return;
  std::error_code ignored;  // a leftover in /tmp is no reason to fail
  fs::remove_all(path_, ignored);
}

TempDirectory::TempDirectory(TempDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), keep_(other.keep_) {}

TempDirectory& TempDirectory::operator=(TempDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(keep_, other.keep_);
  return *this;
}

std::expected<PortLease, std::string> PortLease::pick() {
  // Not under $TMPDIR: all tests of this user on this machine must see the same locks.
  const fs::path locks = "/tmp/pointsman-ports." + std::to_string(::geteuid());
  if (::mkdir(locks.c_str(), 0700) != 0 && errno != EEXIST) {
    return std::unexpected("cannot make the folder " + locks.string() + ": " + system_text(errno));
  }
  std::random_device random;
  const int start = static_cast<int>(random() % port_count);
  for (int i = 0; i < port_count; ++i) {
    const auto port = static_cast<std::uint16_t>(first_port + (start + i) % port_count);
    const fs::path lock = locks / std::to_string(port);
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return std::unexpected("cannot open " + lock.string() + ": " + system_text(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && can_bind(port)) return PortLease(port, fd);
    ::close(fd);
  }
  return std::unexpected("no free port between 20000 and 31999 on 127.0.0.1");
}

PortLease::~PortLease() {
  if (fd_ >= 0) ::close(fd_);
}

PortLease& PortLease::operator=(PortLease&& other) noexcept {
  std::swap(number_, other.number_);
  std::swap(fd_, other.fd_);
  return *this;
}

std::expected<FileLock, std::string> FileLock::take(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected("cannot open " + path.string() + ": " + system_text(errno));
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    ::close(fd);
    return std::unexpected("cannot lock " + path.string() + ": " + system_text(error));
  }
  return FileLock(fd);
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::expected<void, std::string> write_file(const fs::path& path, std::string_view text, unsigned mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode));
  if (fd < 0) return std::unexpected("cannot write " + path.string() + ": " + system_text(errno));
  // The mode above counts only for a new file and is subject to the umask.
  bool written = ::fchmod(fd, static_cast<mode_t>(mode)) == 0;
  std::size_t done = 0;
  while (written && done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (written) done += static_cast<std::size_t>(n);
  }
  const int error = errno;
  ::close(fd);
  if (!written) return std::unexpected("cannot write " + path.string() + ": " + system_text(error));
  return {};
}

std::string read_tail(const fs::path& path, std::size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "";
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0));
  const std::size_t wanted = std::min(size, limit);
  file.seekg(static_cast<std::streamoff>(size - wanted));
  std::string text(wanted, '\0');
  file.read(text.data(), static_cast<std::streamsize>(wanted));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::string last_lines(std::string_view text, std::size_t lines) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::size_t begin = text.size();
  for (std::size_t i = 0; i < lines && begin != 0; ++i) {
    const std::size_t end_of_previous = text.rfind('\n', begin - 1);
    begin = end_of_previous == std::string_view::npos ? 0 : end_of_previous;
  }
  if (begin < text.size() && text[begin] == '\n') ++begin;
  return std::string(text.substr(begin));
}

std::expected<fs::path, std::string> cache_directory() {
  const char* configured = std::getenv("POINTSMAN_CACHE");
  const bool chosen = configured != nullptr && *configured != '\0';
  const std::array<fs::path, 2> candidates{
      chosen ? fs::path(configured) : fs::path("/var/cache/pointsman"),
      temporary_root() / ("pointsman-cache." + std::to_string(::geteuid()))};
  for (const fs::path& candidate : candidates) {
    std::error_code error;
    fs::create_directories(candidate, error);
    if (!error && ::access(candidate.c_str(), W_OK) == 0) return candidate;
    if (chosen) break;
  }
  return std::unexpected("cannot write to the cache folder " + candidates[0].string());
}

}  // namespace pointsman::testbed
