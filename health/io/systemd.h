#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/io/descriptor.h"

namespace pointsman::io {

// Tells systemd how the daemon is doing: sd_notify(3) without libsystemd, datagrams to $NOTIFY_SOCKET. Owned
// by the daemon, used on the control loop's thread. Never blocks; a message that systemd does not take is
// lost.
class Systemd {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that a
  // fence command cannot speak in our name. Call it before the first thread starts.
  static Systemd from_environment();

  explicit Systemd(std::string socket_path, std::optional<std::chrono::microseconds> watchdog = std::nullopt);
  ~Systemd();
  Systemd(Systemd&& other) noexcept;
  Systemd& operator=(Systemd&&) = delete;

  bool active() const { return fd_ >= 0; }  // not started by systemd: every call does nothing

  void ready(std::string_view status);
  void reloading();  // ready() ends it
  void stopping();
  void status(std::string_view line);  // what `systemctl status` shows; sent only when it changed
  void watchdog();
  // Another process is the service's main one from now on. Only the main process is listened to.
  void hand_to(int pid);
  // What from_environment() took out, for a process that takes our place: "NAME=VALUE".
  std::vector<std::string> environment() const;

  // How often watchdog() must be called; half of what the unit allows. nullopt: not asked for.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_; }

 private:
  bool send(const std::string& message);

  int fd_ = -1;
  std::string path_;  // '@' first: the abstract name space
  std::optional<std::chrono::microseconds> watchdog_;
  std::string last_status_;
};

// The sockets that systemd listens on for this process: sd_listen_fds(3) without libsystemd. Takes LISTEN_FDS
// and its kin out of the environment; no child gets the descriptors. Once, before the first thread starts.
std::vector<Descriptor> sockets_of_systemd();

}  // namespace pointsman::io
