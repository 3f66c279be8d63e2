#include "proxy/socket_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "health/io/system_text.h"

namespace pointsman::proxy {
namespace {

using io::system_text;
using Use = SocketFile::Use;

// "the admin socket /run/pointsman/admin.sock"
std::string the(const Use& use, const std::string& path) {
  return std::string("the ") + use.name + " " + path;
}

std::expected<sockaddr_un, std::string> to_address(const std::string& path, const Use& use) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return std::unexpected(std::string("the path of the ") + use.name + " is empty");
  if (path.size() >= sizeof(address.sun_path)) {
    return std::unexpected(std::string("the path of the ") + use.name + " is too long (" +
                           std::to_string(path.size()) + " bytes, at most " +
                           std::to_string(sizeof(address.sun_path) - 1) + "): " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int make_socket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// Does anybody accept there? Never blocks: a full backlog says EAGAIN, and is somebody.
bool somebody_listens(const sockaddr_un& address) {
  const int fd = make_socket();
  if (fd < 0) return false;
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
  ::close(fd);
  return connected;
}

std::string another(const char* who, const std::string& path, const Use& use) {
  return std::string("another ") + who + ": it holds " + the(use, path) +
         " (stop it, or give this one another " + use.key + ")";
}

std::expected<int, std::string> take_lock(const std::string& path, const Use& use) {
  const std::string file = path + ".lock";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
  if (fd < 0) {
    const int error = errno;
    const std::string directory = std::filesystem::path(path).parent_path().string();
    if (error == ENOENT) {
      return std::unexpected("cannot make " + the(use, path) + ": there is no directory " +
                             (directory.empty() ? "." : directory));
    }
    return std::unexpected("cannot make " + the(use, path) + ": cannot open " + file + ": " +
                           system_text(error));
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK) return std::unexpected(another("pointsman runs", path, use));
    return std::unexpected("cannot lock " + file + ": " + system_text(error));
  }
  return fd;
}

// What lies at `path` may go only if it is a socket that nobody serves.
std::optional<std::string> clear_place(const std::string& path, const sockaddr_un& address, const Use& use) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return "cannot look at " + the(use, path) + ": " + system_text(errno);
  }
  if (!S_ISSOCK(found.st_mode))
    return "cannot make " + the(use, path) + ": a file that is no socket is there";
  if (somebody_listens(address)) return another("program listens", path, use);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return "cannot remove the old socket " + path + ": " + system_text(errno);
  return std::nullopt;
}

int bind_with_mode(int fd, const sockaddr_un& address, mode_t mode) {
  const mode_t before = ::umask(0777 & ~mode);
  const int status = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(before);
  return status == 0 ? 0 : error;
}

}  // namespace

std::expected<SocketFile, std::string> SocketFile::claim(const std::string& path, const Use& use) {
  const auto address = to_address(path, use);
  if (!address) return std::unexpected(address.error());
  SocketFile made;
  auto lock = take_lock(path, use);
  if (!lock) return std::unexpected(std::move(lock.error()));
  made.lock_ = *lock;
  if (auto trouble = clear_place(path, *address, use)) return std::unexpected(std::move(*trouble));
  made.fd_ = make_socket();
  if (made.fd_ < 0) return std::unexpected("cannot make " + the(use, path) + ": " + system_text(errno));
  if (const int error = bind_with_mode(made.fd_, *address, use.mode); error != 0)
    return std::unexpected("cannot make " + the(use, path) + ": " + system_text(error));
  made.path_ = path;
  made.note_file();
  return made;
}

SocketFile SocketFile::adopt(const std::string& path, io::Descriptor lock) {
  SocketFile adopted;
  adopted.path_ = path;
  adopted.lock_ = lock.release();
  adopted.kept_ = true;
  adopted.note_file();
  return adopted;
}

void SocketFile::note_file() {
  struct stat ours{};
  if (::lstat(path_.c_str(), &ours) != 0) return;
  device_ = ours.st_dev;
  inode_ = ours.st_ino;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::exchange(other.fd_, -1)),
      lock_(std::exchange(other.lock_, -1)),
      device_(other.device_),
      inode_(other.inode_),
      kept_(other.kept_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  SocketFile old(std::move(other));
  std::swap(path_, old.path_);
  std::swap(fd_, old.fd_);
  std::swap(lock_, old.lock_);
  std::swap(device_, old.device_);
  std::swap(inode_, old.inode_);
  std::swap(kept_, old.kept_);
  return *this;
}

SocketFile::~SocketFile() {
  struct stat now{};
  const bool ours =
      !path_.empty() && ::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
  if (ours && !kept_) ::unlink(path_.c_str());
  if (fd_ >= 0) ::close(fd_);
  if (lock_ >= 0)
    ::close(lock_);  // the file stays: removing it would let two daemons lock two files of one name
}

int SocketFile::release() {
  return std::exchange(fd_, -1);
}

}  // namespace pointsman::proxy
