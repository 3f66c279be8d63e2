#include "tests/testbed/pty.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace pointsman::testbed {

namespace {

std::unexpected<std::string> failed(const std::string& what) {
  return std::unexpected(what + ": " + std::error_code(errno, std::generic_category()).message());
}

}  // namespace

std::expected<Pty, std::string> Pty::create() {
  Pty pty;
  pty.master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (pty.master_ < 0) return failed("posix_openpt");
  std::array<char, 64> name{};
  if (::grantpt(pty.master_) != 0 || ::unlockpt(pty.master_) != 0) return failed("unlockpt");
  if (::ptsname_r(pty.master_, name.data(), name.size()) != 0) return failed("ptsname");
  pty.device_ = name.data();
  pty.slave_ = ::open(name.data(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (pty.slave_ < 0) return failed("open " + pty.device_.string());
  // Until a program sets it, a terminal would echo what comes over the wire.
  termios mode{};
  if (::tcgetattr(pty.slave_, &mode) != 0) return failed("tcgetattr");
  ::cfmakeraw(&mode);
  if (::tcsetattr(pty.slave_, TCSANOW, &mode) != 0) return failed("tcsetattr");
  return pty;
}

Pty::~Pty() {
  if (master_ >= 0) ::close(master_);  // first: it hangs up whoever has the device open
  if (slave_ >= 0) ::close(slave_);
}

Pty& Pty::operator=(Pty&& other) noexcept {
  std::swap(master_, other.master_);
  std::swap(slave_, other.slave_);
  std::swap(device_, other.device_);
  return *this;
}

std::expected<void, std::string> point_symlink(const std::filesystem::path& link,
                                               const std::filesystem::path& target) {
  std::filesystem::path fresh = link;
  fresh += ".new";
  std::error_code error;
  std::filesystem::remove(fresh, error);
  std::filesystem::create_symlink(target, fresh, error);
  if (!error) std::filesystem::rename(fresh, link, error);
  if (error) return std::unexpected("cannot make the link " + link.string() + ": " + error.message());
  return {};
}

}  // namespace pointsman::testbed
