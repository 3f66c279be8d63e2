#include "proxy/cli/keygen.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/authkeys.h"

namespace pointsman::proxy::cli {
namespace {

using Done = std::expected<void, std::string>;

std::unexpected<std::string> system_says(const std::string& path, const std::string& what) {
  return std::unexpected(path + ": " + what + ": " + std::strerror(errno));
}

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Removes a file that was not finished.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

std::expected<std::string, std::string> new_secret() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return std::unexpected("the system has no random numbers now; nothing was done");
  std::string hex;
  for (const unsigned char byte : bytes) hex += {digits[byte >> 4U], digits[byte & 15U]};
  return hex;
}

Done write_synced(const File& file, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(file.fd(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_says(path, "cannot write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  // A umask may have taken even the owner's rights.
  if (::fchmod(file.fd(), 0600) != 0) return system_says(path, "cannot set mode 0600");
  if (::fsync(file.fd()) != 0) return system_says(path, "cannot sync");
  return {};
}

Done sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const File directory(parent.empty() ? "." : parent.string(), O_RDONLY | O_DIRECTORY);
  if (!directory.ok() || ::fsync(directory.fd()) != 0)
    return system_says(path, "was written, but its directory cannot be synced");
  return {};
}

std::expected<std::string, std::string> create(const std::string& path, const std::string& secret) {
  const File file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file.ok() && errno == EEXIST) {
    return std::unexpected(
        path +
        ": exists, and was left as it is; --rotate adds a new key to it and signs with that, "
        "--add only adds it");
  }
  if (!file.ok()) return system_says(path, "cannot create");
  Unfinished unfinished(path);
  if (auto done = write_synced(file, path, conf::new_authkeys_text(secret)); !done)
    return std::unexpected(std::move(done.error()));
  unfinished.keep();
  if (auto done = sync_directory_of(path); !done) return std::unexpected(std::move(done.error()));
  return path +
         ": made, with key 1 (sha256). Copy it to every host of the cluster, mode 0600, owned by the user "
         "that "
         "reads it.\n";
}

struct Existing {
  std::string text;
  conf::AuthKeys keys;
  struct stat status{};
};

// As the daemon reads it, but root may also care for the file of the daemon's user.
std::expected<Existing, std::string> read_existing(const std::string& path) {
  const File file(path, O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return system_says(path, "cannot open");
  Existing existing;
  if (::fstat(file.fd(), &existing.status) != 0) return system_says(path, "cannot stat");
  if (!S_ISREG(existing.status.st_mode)) return std::unexpected(path + ": not a regular file");
  if ((existing.status.st_mode & 077U) != 0) {
    return std::unexpected(path + ": accessible by group or others, who may know its keys; make a new file");
  }
  existing.text.resize(conf::max_authkeys_file + 1);
  std::size_t size = 0;
  while (size < existing.text.size()) {
    const ssize_t n = ::read(file.fd(), existing.text.data() + size, existing.text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_says(path, "cannot read");
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > conf::max_authkeys_file) return std::unexpected(path + ": longer than 64 KiB");
  existing.text.resize(size);
  auto keys = conf::parse_authkeys(existing.text, path);
  if (!keys) {
    std::string problems;
    for (const conf::Problem& problem : keys.error()) problems += conf::to_string(problem) + '\n';
    return std::unexpected(problems + path + ": nothing was changed");
  }
  existing.keys = std::move(*keys);
  return existing;
}

// The file that is to take the place of `path`, written beside and renamed, so that a reader finds the old
// one or the new one. Its name is taken exclusively, before the old one is read: of two that do this at once,
// one is refused, instead of one key being lost.
class Successor {
 public:
  explicit Successor(const std::string& path)
      : path_(path), beside_(path + ".new"), file_(beside_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600) {
    if (file_.ok()) {
      unfinished_.emplace(beside_);
    } else if (errno == EEXIST) {
      failure_ = beside_ + ": exists: another keygen runs, or one was interrupted; then remove it";
    } else {
      failure_ = system_says(beside_, "cannot create").error();
    }
  }

  const std::string& failure() const { return failure_; }  // empty: it is ours

  Done replace(const struct stat& old, const std::string& text) {
    struct stat made{};
    if (::fstat(file_.fd(), &made) != 0) return system_says(beside_, "cannot stat");
    const bool same_owner = made.st_uid == old.st_uid && made.st_gid == old.st_gid;
    if (!same_owner && ::fchown(file_.fd(), old.st_uid, old.st_gid) != 0)
      return system_says(beside_, "cannot give it the owner of " + path_);
    if (auto done = write_synced(file_, beside_, text); !done) return done;
    if (::rename(beside_.c_str(), path_.c_str()) != 0) return system_says(path_, "cannot replace");
    unfinished_->keep();
    return sync_directory_of(path_);
  }

 private:
  std::string path_;
  std::string beside_;
  File file_;
  std::optional<Unfinished> unfinished_;
  std::string failure_;
};

std::expected<std::string, std::string> extend(const std::string& given, const std::string& secret,
                                               bool send) {
  // Renaming onto a link would leave what it points to as it was.
  std::error_code error;
  const std::string path = std::filesystem::canonical(given, error).string();
  if (error) return std::unexpected(given + ": cannot open: " + error.message());
  Successor successor(path);
  if (!successor.failure().empty()) return std::unexpected(successor.failure());
  const auto existing = read_existing(path);
  if (!existing) return std::unexpected(existing.error());
  const std::optional<unsigned> number = conf::next_key_number(existing->keys);
  if (!number) return std::unexpected(path + ": all 255 numbers are taken; remove keys that nobody uses");
  const std::string text = conf::with_new_key(existing->text, *number, secret, send);
  const auto check = conf::parse_authkeys(text, path);
  if (!check || text.size() > conf::max_authkeys_file)
    return std::unexpected(path + ": has no room for another key; remove those that nobody uses");
  if (auto done = successor.replace(existing->status, text); !done)
    return std::unexpected(std::move(done.error()));

  const std::string key = "key " + std::to_string(*number) + " (sha256)";
  if (send) {
    return path + ": signs with the new " + key +
           " from the next reload on. Hosts that do not have it yet refuse what is signed with it: copy the "
           "file to "
           "every host within the deadtime, or use --add first.\n";
  }
  return path + ": accepts the new " + key + " and signs with key " + std::to_string(existing->keys.sending) +
         " as before. Copy it to every host and reload there; then change the line to \"auth " +
         std::to_string(*number) + "\" and do that again.\n";
}

}  // namespace

std::expected<std::string, std::string> keygen(const std::string& file, KeygenMode mode) {
  if (file.contains('\0')) return std::unexpected("the name of the file contains a NUL byte");
  const auto secret = new_secret();
  if (!secret) return std::unexpected(secret.error());
  if (mode != KeygenMode::create) return extend(file, *secret, mode == KeygenMode::rotate);
  if (file == "-") return conf::new_authkeys_text(*secret);
  return create(file, *secret);
}

}  // namespace pointsman::proxy::cli
