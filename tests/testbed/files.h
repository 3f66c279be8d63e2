#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

// Folders, ports and files of things that are thrown away at the end. All failures are sentences.
namespace pointsman::testbed {

// A folder of mode 0700 that is removed, with all in it, at the end of its owner's life, unless `keep` was
// told.
class TempDirectory {
 public:
  // Under $TMPDIR or /tmp; `stem` becomes part of its name. Kept short: a unix socket's path holds at most
  // 107 bytes.
  static std::expected<TempDirectory, std::string> create(std::string_view stem);
  // At a place of the caller's choice, which must not exist or be empty.
  static std::expected<TempDirectory, std::string> create_at(const std::filesystem::path& path);

  TempDirectory() = default;
  ~TempDirectory();
  TempDirectory(TempDirectory&& other) noexcept;
  TempDirectory& operator=(TempDirectory&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

// A TCP port of 127.0.0.1 that nobody else takes for as long as this lives. Below the range of ephemeral
// ports, where the kernel would sooner or later give a port that a stopped server still counts on to some
// client; and under a lock file, so that tests that run side by side get different ones.
class PortLease {
 public:
  static std::expected<PortLease, std::string> pick();

  PortLease() = default;
  ~PortLease();
  PortLease(PortLease&& other) noexcept
      : number_(std::exchange(other.number_, 0)), fd_(std::exchange(other.fd_, -1)) {}
  PortLease& operator=(PortLease&& other) noexcept;

  std::uint16_t number() const { return number_; }

 private:
  PortLease(std::uint16_t number, int fd) : number_(number), fd_(fd) {}

  std::uint16_t number_ = 0;
  int fd_ = -1;  // holds the lock
};

// Holds an exclusive flock on `path` (made when missing) for as long as it lives; waits for it.
class FileLock {
 public:
  static std::expected<FileLock, std::string> take(const std::filesystem::path& path);

  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

std::expected<void, std::string> write_file(const std::filesystem::path& path, std::string_view text,
                                            unsigned mode = 0600);
// At most the last `limit` bytes; "" when there is no such file.
std::string read_tail(const std::filesystem::path& path, std::size_t limit);
std::string last_lines(std::string_view text, std::size_t lines);

// $POINTSMAN_CACHE or /var/cache/pointsman, made when missing; where that cannot be written, a folder of this
// user under the temporary directory.
std::expected<std::filesystem::path, std::string> cache_directory();

}  // namespace pointsman::testbed
