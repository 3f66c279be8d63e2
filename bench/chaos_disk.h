#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <string>
#include <utility>

namespace pointsman::bench {

// A small file system in memory that can be filled up. It is mounted nowhere: a descriptor of this process
// holds it, by whose path others reach it, and it is gone with this object or this process. For root.
class SmallDisk {
 public:
  static std::expected<SmallDisk, std::string> create(std::size_t mebibytes);
  SmallDisk(SmallDisk&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SmallDisk& operator=(SmallDisk&&) = delete;
  ~SmallDisk();

  std::filesystem::path path() const;
  // Until no byte goes in.
  std::expected<void, std::string> fill();
  void empty();  // what fill() wrote

 private:
  explicit SmallDisk(int fd) : fd_(fd) {}
  std::filesystem::path ballast() const { return path() / "ballast"; }

  int fd_;
};

}  // namespace pointsman::bench
