#pragma once

#include <cerrno>
#include <cstddef>
#include <expected>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// Reading small files of the operator. Internal to conf/. Any thread.
namespace pointsman::conf {

inline std::string system_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

// A file opened for reading; closed with its owner. Opening never blocks, not even on a FIFO or a terminal.
class InputFile {
 public:
  static std::expected<InputFile, std::string> open(const std::string& path) {
    if (path.contains('\0')) return std::unexpected("cannot open: the path contains a NUL byte");
    InputFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.fd_ < 0) return std::unexpected("cannot open: " + system_text(errno));
    if (::fstat(file.fd_, &file.status_) != 0) return std::unexpected("cannot stat: " + system_text(errno));
    if (!S_ISREG(file.status_.st_mode)) return std::unexpected("not a regular file");
    return file;
  }
  InputFile(InputFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), status_(other.status_) {}
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  const struct stat& status() const { return status_; }

  // The whole content, or an error when it is longer than `limit` bytes, however long stat() said that it
  // was.
  std::expected<std::string, std::string> read(std::size_t limit) const {
    std::string content(limit + 1, '\0');
    std::size_t size = 0;
    while (size < content.size()) {
      const ssize_t got = ::read(fd_, content.data() + size, content.size() - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return std::unexpected("cannot read: " + system_text(errno));
      if (got == 0) break;
      size += static_cast<std::size_t>(got);
    }
    if (size > limit) return std::unexpected("longer than " + std::to_string(limit) + " bytes");
    content.resize(size);
    return content;
  }

 private:
  explicit InputFile(int fd) : fd_(fd) {}

  int fd_ = -1;
  struct stat status_{};
};

}  // namespace pointsman::conf
