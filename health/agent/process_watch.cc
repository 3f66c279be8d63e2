#include "health/agent/process_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "health/agent/exit_status.h"
#include "health/io/clock.h"
#include "health/io/system_text.h"

namespace pointsman::agent {
namespace {

using io::system_text;

struct Listener {
  pid_t pid = 0;  // 0: errno says why it is not known
  int error = 0;
};

// Who listens on the socket. The kernel remembers the credentials of the process that called listen().
Listener who_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {0, ENAMETOOLONG};
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return {0, errno};
  Listener found;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    found.error = errno;
  } else {
    found.pid = peer.pid;
  }
  ::close(fd);
  return found;
}

// A server may run although nobody answers at its path: the socket's file was removed, or the agent is told a
// wrong path. Then nobody may conclude that the data is safe from writes. "": none seen.
std::string hidden_server() {
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/proc", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry->path() / "comm");
    std::string command;
    if (!std::getline(file, command)) continue;
    if (command == "mysqld" || command == "mariadbd")
      return command.append(" (pid ").append(name).append(")");
  }
  return "";
}

}  // namespace

const char* to_string(ProcessWatch::State state) {
  constexpr std::array names{"unknown", "absent", "runs", "dying", "exited"};
  return names.at(static_cast<std::size_t>(state));
}

ProcessWatch::ProcessWatch(io::Loop& loop, std::string socket, Changed changed)
    : loop_(loop),
      socket_(std::move(socket)),
      changed_(std::move(changed)),
      search_(loop, [this] { search(); }),
      look_(loop, [this] { look(); }) {
  search_.start_after({});
}

ProcessWatch::~ProcessWatch() {
  forget_process();
}

void ProcessWatch::search() {
  search_.start_after(search_period);
  const Listener listener = who_listens(socket_);
  if (listener.pid > 1) {
    if (adopt(listener.pid)) search_.stop();
    return;
  }
  if (listener.error == ENOENT || listener.error == ECONNREFUSED) return no_listener();
  // A full queue of connections (EAGAIN) shows a server too, if only one that does not answer.
  trouble(listener.error != 0 ? "cannot connect to " + socket_ + ": " + system_text(listener.error)
          : listener.pid == 1
              ? socket_ + " belongs to pid 1: with socket activation of systemd its server cannot be watched"
              : socket_ + " belongs to a process outside of this pid namespace");
}

bool ProcessWatch::adopt(pid_t pid) {
  // By syscall(): glibc 2.36 declares its functions for pidfds without extern "C".
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    trouble("pidfd_open " + std::to_string(pid) + ": " + system_text(errno));
    return false;
  }
  pidfd_ = fd;
  // It listens still, so the number is its own, and the pidfd is of it.
  auto threads = ThreadStates::open(pid);
  if (who_listens(socket_).pid != pid || !threads) {
    if (!threads) trouble(threads.error());
    forget_process();
    return false;
  }
  auto poll = io::make_handle<uv_poll_t>(
      this, [&](uv_poll_t* handle) { return uv_poll_init(loop_.raw(), handle, pidfd_); });
  if (!poll || uv_poll_start(poll->get(), UV_READABLE, &ProcessWatch::on_poll) != 0) {
    trouble("cannot wait for the end of process " + std::to_string(pid));
    forget_process();
    return false;
  }
  poll_ = std::move(*poll);
  threads_.emplace(std::move(*threads));
  pid_ = pid;
  by_signal_ = false;
  found_at_ = io::now();
  look_.start_every(look_period);
  const bool started = std::exchange(looked_, true);
  problem_.clear();
  change(State::runs, started);
  return true;
}

void ProcessWatch::no_listener() {
  looked_ = true;
  if (state_ == State::exited) return;
  const core::Instant now = io::now();
  if (now < next_survey_) return;
  next_survey_ = now + survey_period;
  if (const std::string other = hidden_server(); !other.empty()) {
    return trouble("nobody listens on " + socket_ + ", yet " + other +
                   " runs on this host: is mysql.socket the right one?");
  }
  problem_.clear();
  change(State::absent, false);
}

void ProcessWatch::look() {
  if (!threads_ || !threads_->dying()) return;
  look_.stop();
  by_signal_ = threads_->by_signal();
  change(State::dying, false);
}

void ProcessWatch::on_poll(uv_poll_t* handle, int, int) {
  if (auto* self = static_cast<ProcessWatch*>(handle->data); self != nullptr) self->on_exit();
}

void ProcessWatch::check() {
  if (state_ == State::runs) look();
  if (pidfd_ < 0) return;
  pollfd end{.fd = pidfd_, .events = POLLIN, .revents = 0};
  if (::poll(&end, 1, 0) > 0) on_exit();
}

void ProcessWatch::on_exit() {
  // Should it have ended between two looks, its parent may have taken it from /proc before us.
  by_signal_ = by_signal_ || (threads_ && threads_->by_signal()) || ended_by_signal(pidfd_).value_or(false);
  forget_process();
  search_.start_after({});
  change(State::exited, false);
}

void ProcessWatch::forget_process() {
  look_.stop();
  poll_.reset();
  threads_.reset();
  if (pidfd_ >= 0) ::close(std::exchange(pidfd_, -1));
}

void ProcessWatch::change(State state, bool started) {
  if (state_ == state) return;
  state_ = state;
  changed_(started);
}

void ProcessWatch::trouble(std::string text) {
  // What is known to have ended has ended, whatever hides the next one.
  if (state_ == State::exited) {
    problem_ = std::move(text);
    return;
  }
  const bool news = problem_ != text;
  problem_ = std::move(text);
  if (state_ != State::unknown) {
    change(State::unknown, false);
  } else if (news) {
    changed_(false);
  }
}

std::expected<void, std::string> ProcessWatch::kill() const {
  if (pidfd_ < 0) return std::unexpected("no process is known");
  if (::syscall(SYS_pidfd_send_signal, pidfd_, SIGKILL, nullptr, 0) != 0)
    return std::unexpected("SIGKILL to process " + std::to_string(pid_) + ": " + system_text(errno));
  return {};
}

}  // namespace pointsman::agent
