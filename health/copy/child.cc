#include "health/copy/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "health/io/spawn.h"
#include "health/io/system_text.h"
#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"

namespace pointsman::copy {
namespace {

using io::Descriptor;
using io::system_text;
using mysql::concat;

constexpr int options_fd = 3;
constexpr int lock_fd = 4;
constexpr int polite_nice = 10;
// linux/ioprio.h: class "best effort", the lowest of its levels.
constexpr int ioprio_who_process = 1;
constexpr int polite_io = (2 << 13) | 7;

using Ends = std::pair<Descriptor, Descriptor>;

// A socket, as a pipe cannot be written to without the risk of a SIGPIPE. The first end is ours.
std::expected<Ends, std::string> connected() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::unexpected("cannot make a pipe: " + system_text(errno));
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Ends(Descriptor(ends[0]), Descriptor(ends[1]));
}

// A file in memory with this text, to be read from its beginning.
std::expected<Descriptor, std::string> text_file(const std::string& text) {
  Descriptor file(::memfd_create("pointsman-input", MFD_CLOEXEC));
  const bool written = file &&
                       ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::lseek(file.get(), 0, SEEK_SET) == 0;
  if (!written) return std::unexpected("cannot make a file in memory: " + system_text(errno));
  return file;
}

int moved_up(int fd) {
  return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, lock_fd + 1);
}

// Of posix_spawn(), freed with it.
struct Actions {
  Actions() { posix_spawn_file_actions_init(&files); }
  ~Actions() { posix_spawn_file_actions_destroy(&files); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  void give(const Descriptor& from, int to) { give(from.get(), to); }
  void give(int from, int to) {
    if (from >= 0) posix_spawn_file_actions_adddup2(&files, from, to);
  }
  posix_spawn_file_actions_t files{};
};

}  // namespace

Child::~Child() {
  kill();
  (void)wait();
}

void Child::kill() const {
  if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

std::expected<void, std::string> Child::start(const Program& program) {
  name_ = program.argv.front();
  auto stream = connected();
  auto errors = connected();
  if (!stream || !errors) return std::unexpected(stream ? errors.error() : stream.error());
  auto input = text_file(program.input);
  if (!input) return std::unexpected(input.error());
  std::vector<std::string> copies = program.argv;

  Actions actions;
  actions.give(program.data == Data::child_reads ? stream->second : *input, STDIN_FILENO);
  if (program.data == Data::child_writes) {
    actions.give(stream->second, STDOUT_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions.files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  if (program.leaves_daemon) {
    auto report = text_file("");
    if (!report) return std::unexpected(report.error());
    report_ = std::move(*report);
  }
  actions.give(report_ ? report_ : errors->second, STDERR_FILENO);
  // Out of the way first: what is put into one place may be what belongs into the other.
  const Descriptor options(moved_up(program.options_fd));
  const Descriptor lock(moved_up(program.lock_fd));
  actions.give(options, options_fd);
  actions.give(lock, lock_fd);
  pid_t pid = 0;
  const int status = io::spawn_in_group(&pid, io::pointers(copies).data(), actions.files);
  if (status != 0) return std::unexpected(concat("cannot start ", name_, ": ", system_text(status)));
  pid_ = pid;
  // At once: its threads inherit it.
  if (program.polite) {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), polite_nice);
    ::syscall(SYS_ioprio_set, ioprio_who_process, pid, polite_io);
  }
  end = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  data = std::move(stream->first);
  complaints = std::move(errors->first);
  return {};
}

void Child::listen() {
  std::array<char, 1024> buffer{};
  for (std::size_t i = 0; i < 64 && complaints; ++i) {
    const ssize_t n = ::recv(complaints.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) complaints.close();
    if (n <= 0) return;
    said_.append(buffer.data(), static_cast<std::size_t>(n));
    if (on_said) on_said(said_);
    if (said_.size() > max_complaint) said_.erase(0, said_.size() - max_complaint);
  }
}

bool Child::ended() const {
  pollfd look{end.get(), POLLIN, 0};
  return pid_ <= 0 || ::poll(&look, 1, 0) > 0;
}

std::string Child::wait() {
  if (pid_ <= 0) return "";
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  listen();
  if (report_) {
    const off_t size = ::lseek(report_.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(max_complaint));
    said_.resize(max_complaint);
    const ssize_t n = ::pread(report_.get(), said_.data(), said_.size(), from);
    said_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  while (!said_.empty() && (said_.back() == '\n' || said_.back() == ' ')) said_.pop_back();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  const std::string how = WIFSIGNALED(status) ? concat("was ended by signal ", WTERMSIG(status))
                                              : concat("failed with status ", WEXITSTATUS(status));
  return concat(name_, " ", how, said_.empty() ? "" : ": ", mysql::clean_text(said_));
}

bool is_program(std::string_view name) {
  if (name.contains('/')) return ::access(std::string(name).c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (true) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string file = concat(rest.substr(0, end), "/", name);
    if (::access(file.c_str(), X_OK) == 0) return true;
    if (end == rest.size()) return false;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace pointsman::copy
