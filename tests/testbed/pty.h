#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <utility>

namespace pointsman::testbed {

// A pseudo-terminal that stands for a serial device: `device()` is what the program under test opens, raw
// from the start; `fd()` is the other end of the wire, not blocking. Closing it is the device's
// disappearance. Never a controlling terminal.
class Pty {
 public:
  static std::expected<Pty, std::string> create();

  Pty() = default;
  ~Pty();
  Pty(Pty&& other) noexcept
      : master_(std::exchange(other.master_, -1)),
        slave_(std::exchange(other.slave_, -1)),
        device_(std::move(other.device_)) {}
  Pty& operator=(Pty&& other) noexcept;

  int fd() const { return master_; }
  const std::filesystem::path& device() const { return device_; }  // /dev/pts/N

 private:
  int master_ = -1;
  // Ours, so that the master sees neither an error nor a hangup while nobody else has the device open.
  int slave_ = -1;
  std::filesystem::path device_;
};

// Makes `link` a symlink to `target`, in one step when there was one before, as udev does.
std::expected<void, std::string> point_symlink(const std::filesystem::path& link,
                                               const std::filesystem::path& target);

}  // namespace pointsman::testbed
