#pragma once

#include <expected>
#include <string>

#include <sys/types.h>

#include "health/io/descriptor.h"

namespace pointsman::proxy {

// A Unix socket's place in the file system: binds it, and gives it back. Holds a lock on `path`.lock for
// its life, which is how one daemon knows that another one lives, however the other one ended. Control loop's
// thread.
class SocketFile {
 public:
  struct Use {
    const char* name;  // "admin socket"
    const char* key;   // of the configuration
    mode_t mode;
  };
  // Errors (a sentence for the operator): another daemon lives, no such directory, no permission, something
  // at `path` that is not a socket, a path that is too long for a socket address. Changes the process's umask
  // for a moment, so that the socket never exists with wider permission than its mode.
  static std::expected<SocketFile, std::string> claim(const std::string& path, const Use& use);
  // The place of another process, which hands it over with its lock. It goes on being removed by that one
  // until keep(false) here, and keep(true) there.
  static SocketFile adopt(const std::string& path, io::Descriptor lock);

  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile();  // removes the socket file, unless it is no longer ours, or to be kept

  // Bound, not yet listening, non-blocking. The caller closes it; once only.
  int release();
  void keep(bool kept) { kept_ = kept; }
  // Who has a copy of this descriptor holds the lock.
  int lock() const { return lock_; }

 private:
  SocketFile() = default;
  void note_file();

  std::string path_;
  int fd_ = -1;
  int lock_ = -1;
  dev_t device_ = 0;  // which file we made
  ino_t inode_ = 0;
  bool kept_ = false;
};

}  // namespace pointsman::proxy
