#include "health/rescue/binlog_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/spawn.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/clean_text.h"
#include "health/mysql/poll_until.h"
#include "health/mysql/report_parts.h"
#include "health/mysql/waker.h"
#include "health/rescue/files.h"

extern char** environ;

namespace pointsman::rescue {
namespace {

using core::Failure;

constexpr std::size_t max_said = 4096;
constexpr std::size_t read_bytes = std::size_t{64} << 10U;
constexpr int options_fd = 3;

std::string last_error() {
  return std::strerror(errno);
}

// In an option file: quoted, with the escapes that both products know ("Using Option Files").
std::string option_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Without a name in the file system. Both products ignore an option file that everybody may write.
std::expected<Descriptor, Failure> memory_file(std::string_view text) {
  Descriptor fd(::memfd_create("options", MFD_CLOEXEC));
  if (!fd || ::fchmod(fd.get(), 0600) != 0 ||
      ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::unexpected(unsupported("cannot make an option file in memory: " + last_error()));
  }
  return fd;
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};
std::expected<Pipe, Failure> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(unsupported("no pipe: " + last_error()));
  Pipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

// A child that is killed and waited for unless that was done.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), exited_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    if (pid_ > 0) (void)end(true);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int exited() const { return exited_.get(); }
  // How it ended, as waitpid(2) has it.
  int end(bool by_force) {
    int status = 0;
    if (by_force && ::kill(-pid_, SIGKILL) != 0) ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
  Descriptor exited_;
};

// Between fork and exec only what is async-signal-safe; everything else is prepared before.
[[noreturn]] void become(const char* path, char* const* argv, char* const* env, int options, int out, int err,
                         int told) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);  // a wrapper script ends together with what it started
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDWR);
  if (nothing < 0) ::_exit(127);
  ::dup2(nothing, 0);
  ::dup2(out >= 0 ? out : nothing, 1);
  ::dup2(err, 2);
  if (options >= 0) ::dup2(options, options_fd);
  ::execve(path, argv, env);
  const int error = errno;
  [[maybe_unused]] const auto written = ::write(told, &error, sizeof error);
  ::_exit(127);
}

// Descriptors that must not be what dup2 overwrites in the child.
Descriptor above_low(Descriptor fd) {
  constexpr int low = 10;
  if (!fd || fd.get() >= low) return fd;
  return Descriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, low));
}

// What the program writes, and how that is read to the end.
class Attendance {
 public:
  Attendance(const BinlogProgram::Run& run, const BinlogProgram::Take& take, const mysql::Waker& stop)
      : run_(run), take_(take), stop_(stop) {}

  std::vector<Descriptor> sources;  // written one after another in this order
  Descriptor errors;

  std::expected<void, Failure> until_end(const Child& child, const std::string& name) {
    auto silent_since = mysql::boot_now();
    std::vector<pollfd> fds;
    while (!exited_ || std::ranges::any_of(sources, &Descriptor::operator bool)) {
      const auto limit = run_.silence > core::Duration::zero()
                             ? std::min(run_.deadline, silent_since + run_.silence)
                             : run_.deadline;
      fds = {{stop_.fd(), POLLIN, 0}, {exited_ ? -1 : child.exited(), POLLIN, 0}, {errors.get(), POLLIN, 0}};
      for (const auto& source : sources) fds.push_back({source.get(), POLLIN, 0});
      const bool ready = exited_ || mysql::poll_until(fds, limit);
      if (fds[0].revents != 0) return std::unexpected(timeout(name + " was told to stop"));
      if (!ready) return std::unexpected(timeout(name + " did not end in time"));
      if (fds[2].revents != 0) listen();
      const bool ended = exited_ || fds[1].revents != 0;
      // The first that has something: what an earlier one still holds was written before.
      for (std::size_t i = 0; i < sources.size(); ++i) {
        if (!sources[i] || (!exited_ && fds[first_source + i].revents == 0)) continue;
        silent_since = mysql::boot_now();
        if (auto done = read(i); !done) return done;
        break;
      }
      exited_ = ended;
    }
    while (errors && listen()) {
    }
    return {};
  }

  const std::string& said() const { return said_; }

 private:
  static constexpr std::size_t first_source = 3;

  static Failure timeout(std::string text) { return {core::FailureKind::timeout, 0, std::move(text)}; }

  // A pipe that its writer has closed, or that nobody will write to any more, is done.
  std::expected<void, Failure> read(std::size_t i) {
    buffer_.resize(read_bytes);
    const ssize_t n = ::read(sources[i].get(), buffer_.data(), buffer_.size());
    if (n > 0) return take_(i, std::string_view(buffer_).substr(0, static_cast<std::size_t>(n)));
    if (n < 0 && errno == EINTR) return {};
    if (n == 0 || exited_) sources[i].close();
    return {};
  }

  // False: nothing more at the moment.
  bool listen() {
    std::array<char, 1024> bytes{};
    const ssize_t n = ::read(errors.get(), bytes.data(), bytes.size());
    if (n <= 0) {
      if (n == 0) errors.close();
      return false;
    }
    said_.append(bytes.data(), static_cast<std::size_t>(n));
    if (said_.size() > max_said) said_.erase(0, said_.size() - max_said);
    return true;
  }

  const BinlogProgram::Run& run_;
  const BinlogProgram::Take& take_;
  const mysql::Waker& stop_;
  bool exited_ = false;
  std::string buffer_;
  std::string said_;
};

std::optional<std::string> in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  while (true) {
    const auto colon = rest.find(':');
    auto file = std::string(rest.substr(0, colon)) + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
    if (colon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(colon + 1);
  }
}

// Ours, without what would change the program's answers: MySQL reads a file of logins whatever else it is
// told.
std::vector<std::string> environment() {
  std::vector<std::string> list;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("MYSQL") && !text.starts_with("MARIADB")) list.emplace_back(text);
  }
  list.emplace_back("MYSQL_TEST_LOGIN_FILE=/nonexistent");
  return list;
}

std::string sentence(std::string_view said) {
  auto text = mysql::clean_text(said);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text.empty() ? std::string("without a word") : text;
}

}  // namespace

std::expected<BinlogProgram, Failure> BinlogProgram::find(const std::string& name, core::Flavour flavour) {
  const bool mariadb = flavour == core::Flavour::mariadb;
  const std::string wanted = !name.empty() ? name : mariadb ? "mariadb-binlog" : "mysqlbinlog";
  const auto found = wanted.find('/') == std::string::npos ? in_path(wanted)
                     : ::access(wanted.c_str(), X_OK) == 0 ? std::optional(wanted)
                                                           : std::nullopt;
  if (found) return BinlogProgram(*found);
  return std::unexpected(
      unsupported("the program " + wanted + " is not installed here (" +
                  (mariadb ? "Debian's mariadb-client has it" : "Oracle's mysql-client has it") +
                  "), and nothing can be saved without it"));
}

std::expected<bool, Failure> BinlogProgram::is_mysqls(core::Instant deadline,
                                                      const std::stop_token& stop) const {
  constexpr std::size_t longest = std::size_t{1} << 20U;
  std::string help;
  const Run run{.arguments = {"--help"}, .deadline = deadline, .stop = stop};
  const auto done = this->run(run, [&](std::size_t, std::string_view bytes) -> std::expected<void, Failure> {
    if (help.size() < longest) help += bytes;
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return help.find("--exclude-gtids") != std::string::npos;
}

std::expected<void, Failure> BinlogProgram::run(const Run& run, const Take& take) const {
  mysql::Waker stop;
  const std::stop_callback ring(run.stop, [&stop] { stop.ring(); });
  Attendance attendance(run, take, stop);

  Descriptor options;
  std::vector<std::string> words{path_};
  if (!run.options.empty()) {
    auto made = memory_file(run.options);
    if (!made) return std::unexpected(made.error());
    options = above_low(std::move(*made));
    words.push_back("--defaults-file=/dev/fd/" + std::to_string(options_fd));
  } else {
    words.emplace_back("--no-defaults");
  }
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());

  auto errors = make_pipe();
  auto told = make_pipe();
  if (!errors || !told) return std::unexpected((errors ? told : errors).error());
  attendance.errors = std::move(errors->read);
  Descriptor out;
  for (const auto& path : run.pipes) {
    Descriptor pipe(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!pipe) return std::unexpected(unsupported("cannot open " + path.string() + ": " + last_error()));
    attendance.sources.push_back(std::move(pipe));
  }
  if (run.pipes.empty()) {
    auto output = make_pipe();
    if (!output) return std::unexpected(output.error());
    attendance.sources.push_back(std::move(output->read));
    out = above_low(std::move(output->write));
  }
  Descriptor err = above_low(std::move(errors->write));
  Descriptor tell = above_low(std::move(told->write));

  auto env = environment();
  const auto argv = io::pointers(words);
  const auto envp = io::pointers(env);
  const pid_t pid = ::fork();
  if (pid == 0)
    become(path_.c_str(), argv.data(), envp.data(), options.get(), out.get(), err.get(), tell.get());
  if (pid < 0) return std::unexpected(unsupported("cannot start " + path_ + ": " + last_error()));
  Child child(pid);
  out.close();
  err.close();
  tell.close();

  if (auto attended = attendance.until_end(child, path_); !attended) return attended;
  const int status = child.end(false);
  int error = 0;
  if (::read(told->read.get(), &error, sizeof error) == sizeof error) {
    return std::unexpected(unsupported("cannot start " + path_ + ": " + std::strerror(error)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string how = WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status))
                                              : "failed with status " + std::to_string(WEXITSTATUS(status));
  return std::unexpected(unsupported(path_ + " " + how + ": " + sentence(attendance.said())));
}

std::string connection_options(const conf::HostPort& address, const conf::Account& account,
                               core::Flavour flavour) {
  std::string text = "[client]\n";
  if (address.host.starts_with('/')) {
    text += "protocol=socket\nsocket=" + option_text(address.host) + "\n";
  } else {
    text += "protocol=tcp\nhost=" + option_text(mysql::network_host(address.host)) +
            "\nport=" + std::to_string(address.port) + "\n";
  }
  text += "user=" + option_text(account.user) + "\npassword=" + option_text(account.password) + "\n";
  // Passwords of caching_sha2_password over a connection without TLS.
  if (flavour == core::Flavour::mysql) text += "loose-get-server-public-key\n";
  return text;
}

}  // namespace pointsman::rescue
