#pragma once

#include <expected>
#include <string>

#include <sys/types.h>

namespace pointsman::proxy {

// The admin socket's place in the file system: binds it, and gives it back. Holds a lock on `path`.lock for
// its life, which is how one daemon knows that another one lives, however the other one ended. Control loop's
// thread.
class AdminSocket {
 public:
  // Errors (a sentence for the operator): another daemon lives, no such directory, no permission, something
  // at `path` that is not a socket, a path that is too long for a socket address. Changes the process's umask
  // for a moment, so that the socket never exists with wider permission than 0660.
  static std::expected<AdminSocket, std::string> claim(const std::string& path);

  AdminSocket(AdminSocket&& other) noexcept;
  AdminSocket& operator=(AdminSocket&&) = delete;
  ~AdminSocket();  // removes the socket file, unless it is no longer ours

  // Bound, not yet listening, non-blocking. The caller closes it; once only.
  int release();

 private:
  AdminSocket() = default;

  std::string path_;
  int fd_ = -1;
  int lock_ = -1;
  dev_t device_ = 0;  // which file we made
  ino_t inode_ = 0;
};

}  // namespace pointsman::proxy
