#include "health/setup/dump_pipe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/mysql/boot_clock.h"
#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"

extern char** environ;

namespace pointsman::setup {
namespace {

using mysql::concat;

std::string system_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

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

// One child. Killed and waited for by the destructor.
class Child {
 public:
  ~Child() {
    kill();
    (void)wait();
  }
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::expected<void, std::string> start(const DumpPipe::Program& program, bool reads);
  void kill() const {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
  }
  // "" when it ended well; else how it ended, and what it complained of.
  std::string wait();
  void listen();  // its complaints; never blocks

  Descriptor data;        // its standard input or output
  Descriptor complaints;  // its standard error

 private:
  std::string name_;
  pid_t pid_ = 0;
  std::string said_;
};

std::expected<void, std::string> Child::start(const DumpPipe::Program& program, bool reads) {
  name_ = program.argv.front();
  auto stream = connected();
  auto errors = connected();
  if (!stream || !errors) return std::unexpected(stream ? errors.error() : stream.error());
  std::vector<std::string> copies = program.argv;
  std::vector<char*> argv;
  argv.reserve(copies.size() + 1);
  for (auto& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, reads ? 1 : 0, "/dev/null", reads ? O_WRONLY : O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, stream->second.get(), reads ? 0 : 1);
  posix_spawn_file_actions_adddup2(&files, errors->second.get(), 2);
  posix_spawn_file_actions_adddup2(&files, program.options->fd(), OptionFile::child_fd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that a Ctrl-C comes to us alone and is answered in order; no signal blocked.
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                           POSIX_SPAWN_SETSIGDEF));
  pid_t pid = 0;
  const int status = ::posix_spawnp(&pid, argv.front(), &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (status != 0) return std::unexpected(concat("cannot start ", name_, ": ", system_text(status)));
  pid_ = pid;
  data = std::move(stream->first);
  complaints = std::move(errors->first);
  return {};
}

void Child::listen() {
  std::array<char, 1024> buffer{};
  for (std::size_t i = 0; i < 64 && complaints.open(); ++i) {
    const ssize_t n = ::recv(complaints.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) complaints.close();
    if (n <= 0) return;
    said_.append(buffer.data(), static_cast<std::size_t>(n));
    if (said_.size() > DumpPipe::max_complaint) said_.erase(0, said_.size() - DumpPipe::max_complaint);
  }
}

std::string Child::wait() {
  if (pid_ <= 0) return "";
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  listen();
  while (!said_.empty() && (said_.back() == '\n' || said_.back() == ' ')) said_.pop_back();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  const std::string how = WIFSIGNALED(status) ? concat("was ended by signal ", WTERMSIG(status))
                                              : concat("failed with status ", WEXITSTATUS(status));
  return concat(name_, " ", how, said_.empty() ? "" : ": ", mysql::clean_text(said_));
}

// The bytes between the two, and both ends' complaints.
class Relay {
 public:
  Relay(Child& dump, Child& load, const mysql::Waker& cancel) : dump_(dump), load_(load), cancel_(cancel) {}

  std::expected<DumpScanner, std::string> run(const std::string& before, const DumpPipe::Seen& seen);

 private:
  std::expected<void, std::string> wait();
  void read(const DumpPipe::Seen& seen);
  void write();

  Child& dump_;
  Child& load_;
  const mysql::Waker& cancel_;
  DumpScanner scanner_;
  std::string buffer_;
  std::size_t sent_ = 0;  // of buffer_
  bool end_of_dump_ = false;
  bool loader_left_ = false;
  core::Instant last_move_{};
};

std::expected<void, std::string> Relay::wait() {
  const auto left = last_move_ + DumpPipe::longest_stall - mysql::boot_now();
  if (left <= core::Duration::zero()) {
    return std::unexpected(concat("no byte moved for ", core::to_ms(DumpPipe::longest_stall) / 1000,
                                  " s; a lock on the primary, or a server that hangs"));
  }
  const bool full = !buffer_.empty();
  std::array<pollfd, 5> fds{
      pollfd{cancel_.fd(), POLLIN, 0}, pollfd{full || end_of_dump_ ? -1 : dump_.data.get(), POLLIN, 0},
      pollfd{full ? load_.data.get() : -1, POLLOUT, 0}, pollfd{dump_.complaints.get(), POLLIN, 0},
      pollfd{load_.complaints.get(), POLLIN, 0}};
  if (::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(left) + 1)) < 0 && errno != EINTR) {
    return std::unexpected("poll: " + system_text(errno));
  }
  if (fds[0].revents != 0) return std::unexpected("given up");
  dump_.listen();
  load_.listen();
  // A loader that fails closes its end; its complaint says why.
  if ((fds[2].revents & (POLLERR | POLLHUP)) != 0) loader_left_ = true;
  return {};
}

void Relay::read(const DumpPipe::Seen& seen) {
  if (!buffer_.empty() || end_of_dump_) return;
  buffer_.resize(DumpPipe::buffer_bytes);
  const ssize_t n = ::recv(dump_.data.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  end_of_dump_ = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  buffer_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  sent_ = 0;
  if (n <= 0) return;
  last_move_ = mysql::boot_now();
  scanner_.feed(buffer_);
  if (seen) seen(scanner_);
}

void Relay::write() {
  while (sent_ < buffer_.size()) {
    const ssize_t n = ::send(load_.data.get(), buffer_.data() + sent_, buffer_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      loader_left_ = true;
      return;
    }
    sent_ += static_cast<std::size_t>(n);
    last_move_ = mysql::boot_now();
  }
  buffer_.clear();
  sent_ = 0;
}

std::expected<DumpScanner, std::string> Relay::run(const std::string& before, const DumpPipe::Seen& seen) {
  last_move_ = mysql::boot_now();
  buffer_ = before;
  while (!loader_left_ && !(end_of_dump_ && buffer_.empty())) {
    if (auto waited = wait(); !waited) return std::unexpected(waited.error());
    write();
    read(seen);
  }
  if (loader_left_) {
    dump_.kill();
    const std::string why = load_.wait();
    return std::unexpected(why.empty() ? "the loader ended before the dump" : why);
  }
  // Only a whole dump may end the loader's input well: at its end it executes what it has.
  if (const std::string why = dump_.wait(); !why.empty()) return std::unexpected(why);
  if (!scanner_.complete()) return std::unexpected("the dump ended without saying that it is complete");
  ::shutdown(load_.data.get(), SHUT_WR);
  // It has the last statements still to execute, and closes its end when it is done.
  while (load_.complaints.open()) {
    if (auto waited = wait(); !waited) return std::unexpected(waited.error());
  }
  if (const std::string why = load_.wait(); !why.empty()) return std::unexpected(why);
  return scanner_;
}

}  // namespace

std::expected<DumpScanner, std::string> DumpPipe::run(const Order& order, const Seen& seen) {
  Child load;
  Child dump;
  if (auto started = load.start(order.load, true); !started) return std::unexpected(started.error());
  if (auto started = dump.start(order.dump, false); !started) return std::unexpected(started.error());
  return Relay(dump, load, cancel_).run(order.before, seen);
}

bool is_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (true) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (::access((std::string(rest.substr(0, end)) + "/" + name).c_str(), X_OK) == 0) return true;
    if (end == rest.size()) return false;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace pointsman::setup
