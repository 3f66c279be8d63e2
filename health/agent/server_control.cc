#include "health/agent/server_control.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "health/io/descriptor.h"
#include "health/io/system_text.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/setup/admin.h"

namespace pointsman::agent {

namespace fs = std::filesystem;
using io::Descriptor;
using mysql::concat;
using Outcome = std::expected<void, std::string>;

namespace {

constexpr std::chrono::milliseconds look_period(100);

std::expected<std::string, std::string> link_of(pid_t pid, const char* name) {
  std::error_code error;
  const fs::path target = fs::read_symlink(concat("/proc/", pid, "/", name), error);
  if (error) return std::unexpected(concat("cannot look at process ", pid, ": ", error.message()));
  return target.string();
}

// False: `cancel` rang.
bool pause(const mysql::Waker& cancel, int fd) {
  std::array<pollfd, 2> fds{pollfd{cancel.fd(), POLLIN, 0}, pollfd{fd, POLLIN, 0}};
  ::poll(fds.data(), fds.size(), static_cast<int>(look_period.count()));
  return fds[0].revents == 0;
}

}  // namespace

std::expected<std::optional<LocalServer>, std::string> find_local_server(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return std::unexpected("mysql.socket is too long");
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  const Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(concat(socket, ": ", io::system_text(errno)));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<LocalServer>();
    return std::unexpected(concat(socket, ": ", io::system_text(errno)));
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0)
    return std::unexpected(concat(socket, ": whose it is cannot be told"));
  auto program = link_of(peer.pid, "exe");
  if (!program) return std::unexpected(program.error());
  auto data = link_of(peer.pid, "cwd");
  if (!data) return std::unexpected(data.error());
  return std::optional(
      LocalServer{.pid = peer.pid, .program = std::move(*program), .data = std::move(*data)});
}

pid_t find_process_in(const std::string& folder) {
  struct stat wanted{};
  if (::stat(folder.c_str(), &wanted) != 0) return 0;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t pid = 0;
    const auto [last, fault] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (fault != std::errc{} || last != name.data() + name.size()) continue;
    struct stat found{};
    const std::string cwd = "/proc/" + name + "/cwd";
    if (::stat(cwd.c_str(), &found) == 0 && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino)
      return pid;
  }
  return 0;
}

Outcome ServerControl::command(const copy::Child::Program& program) {
  copy::Child child;
  if (auto started = child.start(program); !started) return started;
  const auto deadline = mysql::boot_now() + command_timeout;
  while (!child.ended()) {
    child.listen();
    if (!pause(cancel_, child.end.get())) return std::unexpected("given up");
    if (mysql::boot_now() > deadline) return std::unexpected(concat(program.argv.front(), " does not end"));
  }
  if (const std::string why = child.wait(); !why.empty()) return std::unexpected(why);
  return {};
}

Outcome ServerControl::stop(const std::string& data) {
  if (auto done = command({.argv = config_.copy.stop_command, .lock_fd = lock_fd_}); !done) return done;
  const auto deadline = mysql::boot_now() + command_timeout;
  while (find_process_in(data) != 0) {
    if (!pause(cancel_, -1)) return std::unexpected("given up");
    if (mysql::boot_now() > deadline)
      return std::unexpected("copy.stop_command has ended, and the server runs still");
  }
  const auto again = find_local_server(config_.mysql.socket);
  if (!again) return std::unexpected(again.error());
  if (*again) return std::unexpected("copy.stop_command has ended, and a server listens still");
  return {};
}

bool ServerControl::answers() const {
  setup::Admin admin({"the server", {config_.mysql.socket, 0}, config_.mysql.account}, cancel_);
  const auto opened = admin.open();
  return opened || core::proves_life(opened.error().kind);
}

Outcome ServerControl::start() {
  const auto server = find_local_server(config_.mysql.socket);
  if (server && !*server) {
    if (auto done = command({.argv = config_.copy.start_command, .leaves_daemon = true}); !done) return done;
  }
  const auto deadline = mysql::boot_now() + command_timeout;
  while (!answers()) {
    if (!pause(cancel_, -1)) return std::unexpected("given up");
    if (mysql::boot_now() > deadline) return std::unexpected("the server was started, and does not answer");
  }
  return {};
}

}  // namespace pointsman::agent
