#include "health/io/systemd.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

namespace pointsman::io {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::optional<long long> to_number(const std::string& text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A line break would end the variable (sd_notify(3)).
std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

}  // namespace

Systemd Systemd::from_environment() {
  const std::string path = variable("NOTIFY_SOCKET");
  const auto usec = to_number(variable("WATCHDOG_USEC"));
  const auto pid = to_number(variable("WATCHDOG_PID"));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  std::optional<std::chrono::microseconds> watchdog;
  if (usec && *usec > 0 && (!pid || *pid == ::getpid())) watchdog = std::chrono::microseconds(*usec / 2);
  return Systemd(path, watchdog);
}

Systemd::Systemd(std::string socket_path, std::optional<std::chrono::microseconds> watchdog)
    : path_(std::move(socket_path)), watchdog_(watchdog) {
  const bool usable = path_.size() > 1 && path_.size() < sizeof(sockaddr_un::sun_path) &&
                      (path_.front() == '/' || path_.front() == '@');
  if (usable) fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

Systemd::Systemd(Systemd&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      watchdog_(other.watchdog_),
      last_status_(std::move(other.last_status_)) {}

Systemd::~Systemd() {
  if (fd_ >= 0) ::close(fd_);
}

std::vector<Descriptor> sockets_of_systemd() {
  constexpr int first = 3;  // SD_LISTEN_FDS_START
  const auto count = to_number(variable("LISTEN_FDS"));
  const auto pid = to_number(variable("LISTEN_PID"));
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) ::unsetenv(name);
  std::vector<Descriptor> sockets;
  if (!count || pid != ::getpid()) return sockets;
  for (int fd = first; fd < first + *count; ++fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) break;  // there are no more
    sockets.emplace_back(fd);
  }
  return sockets;
}

bool Systemd::send(const std::string& message) {
  if (fd_ < 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  if (path_.front() == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  // sendto and not connect once: systemd may have been re-executed since.
  return ::sendto(fd_, message.data(), message.size(), MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&address),
                  length) == static_cast<ssize_t>(message.size());
}

void Systemd::ready(std::string_view status) {
  last_status_ = one_line(status);
  send("READY=1\nSTATUS=" + last_status_);
}

void Systemd::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // the clock that Type=notify-reload compares with
  const long long usec = now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

void Systemd::stopping() {
  send("STOPPING=1");
}

void Systemd::status(std::string_view line) {
  std::string text = one_line(line);
  if (text == last_status_) return;
  if (send("STATUS=" + text)) last_status_ = std::move(text);
}

void Systemd::hand_to(int pid) {
  send("MAINPID=" + std::to_string(pid));
}

// Without WATCHDOG_PID, which would name this process.
std::vector<std::string> Systemd::environment() const {
  std::vector<std::string> list;
  if (active()) list.push_back("NOTIFY_SOCKET=" + path_);
  if (watchdog_) list.push_back("WATCHDOG_USEC=" + std::to_string(2 * watchdog_->count()));
  return list;
}

void Systemd::watchdog() {
  send("WATCHDOG=1");
}

}  // namespace pointsman::io
