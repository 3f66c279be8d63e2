#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "health/core/server_report.h"
#include "health/io/descriptor.h"

// Files that outlive a crash, and the end of the disk told before it comes. Functions block. Errors are
// failures that name the path and what the system said: of kind unreachable where that may be otherwise soon,
// as with a full disk, else unsupported.
namespace pointsman::rescue {

core::Failure unsupported(std::string text);

using io::Descriptor;

// A new file of mode 0600 with a limit, and with the free space of its file system looked at on the way.
class LimitedFile {
 public:
  struct Limit {
    std::uint64_t bytes = 0;  // of this file
    std::uint64_t spare = 0;  // left free on the file system
  };
  static std::expected<LimitedFile, core::Failure> create(const std::filesystem::path& path, Limit limit);

  std::expected<void, core::Failure> write(std::string_view bytes);
  std::expected<void, core::Failure> sync();
  std::uint64_t size() const { return size_; }

 private:
  LimitedFile(std::filesystem::path path, Descriptor fd, Limit limit)
      : path_(std::move(path)), fd_(std::move(fd)), limit_(limit) {}
  std::expected<void, core::Failure> flush();
  std::expected<void, core::Failure> check_space();

  std::filesystem::path path_;
  Descriptor fd_;
  Limit limit_;
  std::string buffer_;
  std::uint64_t size_ = 0;
  std::uint64_t next_look_ = 0;
};

// Written beside, synced, renamed, directory synced: the old or the new text, never half of one.
std::expected<void, core::Failure> replace_file(const std::filesystem::path& path, std::string_view text);
std::expected<void, core::Failure> sync_directory(const std::filesystem::path& path);
// Mode 0700; one that is there is good.
std::expected<void, core::Failure> make_directory(const std::filesystem::path& path);

}  // namespace pointsman::rescue
