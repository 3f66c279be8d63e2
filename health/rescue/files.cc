#include "health/rescue/files.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace pointsman::rescue {

namespace fs = std::filesystem;
using core::Failure;

namespace {

constexpr std::size_t buffer_bytes = std::size_t{256} << 10U;
constexpr std::uint64_t look_every = std::uint64_t{4} << 20U;

// Of our own host, and it may be otherwise soon: what was to be done is tried again.
Failure local(std::string text) {
  return {core::FailureKind::unreachable, 0, std::move(text)};
}

Failure system_says(const std::string& what, const fs::path& path) {
  return local(what + " " + path.string() + ": " + std::strerror(errno));
}

std::expected<void, Failure> write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::unexpected(system_says("cannot write", path));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Failure unsupported(std::string text) {
  return {core::FailureKind::unsupported, 0, std::move(text)};
}

std::expected<LimitedFile, Failure> LimitedFile::create(const fs::path& path, Limit limit) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return std::unexpected(system_says("cannot create", path));
  LimitedFile file(path, std::move(fd), limit);
  if (auto space = file.check_space(); !space) return std::unexpected(space.error());
  return file;
}

std::expected<void, Failure> LimitedFile::write(std::string_view bytes) {
  size_ += bytes.size();
  if (size_ > limit_.bytes) {
    return std::unexpected(unsupported(path_.string() + " would be larger than the limit of " +
                                       std::to_string(limit_.bytes) + " bytes"));
  }
  if (size_ >= next_look_) {
    if (auto space = check_space(); !space) return space;
  }
  buffer_.append(bytes);
  return buffer_.size() < buffer_bytes ? std::expected<void, Failure>() : flush();
}

std::expected<void, Failure> LimitedFile::flush() {
  auto done = write_all(fd_.get(), buffer_, path_);
  buffer_.clear();
  return done;
}

std::expected<void, Failure> LimitedFile::check_space() {
  struct statvfs told{};
  if (::fstatvfs(fd_.get(), &told) != 0)
    return std::unexpected(system_says("cannot see the space for", path_));
  next_look_ = size_ + look_every;
  const std::uint64_t free = std::uint64_t{told.f_bavail} * told.f_frsize;
  // What is about to be written until the next look counts as well.
  if (free >= limit_.spare + look_every) return {};
  return std::unexpected(local("no space for " + path_.string() + ": " +
                               std::to_string((limit_.spare + look_every) >> 20U) + " MiB are to stay free"));
}

std::expected<void, Failure> LimitedFile::sync() {
  if (auto done = flush(); !done) return done;
  if (::fsync(fd_.get()) != 0) return std::unexpected(system_says("cannot sync", path_));
  return {};
}

std::expected<void, Failure> replace_file(const fs::path& path, std::string_view text) {
  const fs::path beside = path.string() + ".new";
  const Descriptor fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(system_says("cannot create", beside));
  if (auto done = write_all(fd.get(), text, beside); !done) return done;
  if (::fsync(fd.get()) != 0) return std::unexpected(system_says("cannot sync", beside));
  if (::rename(beside.c_str(), path.c_str()) != 0)
    return std::unexpected(system_says("cannot rename to", path));
  return sync_directory(path.parent_path());
}

std::expected<void, Failure> sync_directory(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return std::unexpected(system_says("cannot sync directory", path));
  return {};
}

std::expected<void, Failure> make_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(system_says("cannot create directory", path));
  return {};
}

}  // namespace pointsman::rescue
