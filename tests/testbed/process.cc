#include "tests/testbed/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <future>
#include <mutex>
#include <queue>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/system_text.h"

namespace pointsman::testbed {

using io::system_text;

namespace {

constexpr std::size_t max_output = std::size_t{16} << 20;

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Forks on one thread that lives as long as the process does: the kernel's "kill the child when its parent
// dies" means the thread that forked, and a caller's thread may well end before the server that it started.
// That is why this, alone in the testbed, is a process-wide object.
class Spawner {
 public:
  static Spawner& instance() {
    static Spawner spawner;
    return spawner;
  }

  pid_t call(std::packaged_task<pid_t()> task) {
    std::future<pid_t> result = task.get_future();
    {
      const std::scoped_lock lock(mutex_);
      tasks_.push(std::move(task));
    }
    wake_.notify_one();
    return result.get();
  }

 private:
  Spawner() : thread_([this](const std::stop_token& stop) { loop(stop); }) {}

  void loop(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return !tasks_.empty(); })) {
      std::packaged_task<pid_t()> task = std::move(tasks_.front());
      tasks_.pop();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::queue<std::packaged_task<pid_t()>> tasks_;
  std::jthread thread_;
};

// Everything that the child needs, made before fork: between fork and exec only calls that are safe in a
// signal handler are allowed.
struct Plan {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> environment;
  const char* directory = nullptr;
  int in = -1;
  int out = -1;
  int err = -1;
  int failure_pipe = -1;
  int network_namespace = -1;
  pid_t parent = 0;
};

[[noreturn]] void child(const Plan& plan) {
  const auto give_up = [&plan] {
    const int error = errno;
    [[maybe_unused]] const ssize_t n = ::write(plan.failure_pipe, &error, sizeof error);
    ::_exit(127);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
  ::setpgid(0, 0);  // ^C at a terminal is for us; we end our children in our own order
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(plan.in, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0) give_up();
  ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  if (plan.network_namespace >= 0 && ::setns(plan.network_namespace, CLONE_NEWNET) != 0) give_up();
  if (plan.directory != nullptr && ::chdir(plan.directory) != 0) give_up();
  ::execve(plan.program.c_str(), plan.argv.data(), plan.environment.data());
  give_up();
  ::_exit(127);
}

std::expected<std::string, std::string> find_program(const std::string& name) {
  if (name.contains('/')) return name;
  const char* path = std::getenv("PATH");
  std::string rest = path != nullptr ? path : "";
  rest += ":/usr/sbin:/usr/bin:/sbin:/bin";  // servers live in sbin, which a user's PATH may lack
  for (std::size_t begin = 0; begin < rest.size();) {
    const std::size_t end = std::min(rest.find(':', begin), rest.size());
    std::string candidate = rest.substr(begin, end - begin) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return std::unexpected("no program '" + name + "' in PATH");
}

struct Spawned {
  pid_t pid;
  int pidfd;
};

std::expected<Spawned, std::string> spawn(const Process::Options& options, int out, int err) {
  if (options.argv.empty()) return std::unexpected("no program given");
  auto program = find_program(options.argv.front());
  if (!program) return std::unexpected(program.error());

  std::vector<std::string> argv = options.argv;
  std::vector<std::string> added = options.environment;
  std::string directory = options.directory.string();
  Plan plan;
  plan.program = *program;
  for (std::string& argument : argv) plan.argv.push_back(argument.data());
  plan.argv.push_back(nullptr);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('=') + 1);
    if (std::ranges::none_of(added, [&](const std::string& a) { return a.starts_with(name); })) {
      plan.environment.push_back(*entry);
    }
  }
  for (std::string& entry : added) plan.environment.push_back(entry.data());
  plan.environment.push_back(nullptr);
  plan.directory = directory.empty() ? nullptr : directory.c_str();

  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return std::unexpected("pipe: " + system_text(errno));
  const Fd reader(pipe_ends[0]);
  Fd writer(pipe_ends[1]);
  plan.in = null.get();
  plan.out = out >= 0 ? out : null.get();
  plan.err = err >= 0 ? err : null.get();
  plan.failure_pipe = writer.get();
  Fd network_namespace;
  if (!options.network_namespace.empty()) {
    network_namespace = Fd(::open(options.network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
    if (network_namespace.get() < 0) {
      return std::unexpected("cannot open the network namespace " + options.network_namespace.string() +
                             ": " + system_text(errno));
    }
    plan.network_namespace = network_namespace.get();
  }
  plan.parent = ::getpid();

  int fork_error = 0;
  const pid_t pid = Spawner::instance().call(std::packaged_task<pid_t()>([&plan, &fork_error] {
    const pid_t forked = ::fork();
    if (forked == 0) child(plan);
    fork_error = forked < 0 ? errno : 0;
    return forked;
  }));
  if (pid < 0) return std::unexpected("fork: " + system_text(fork_error));
  writer = Fd();
  int error = 0;
  if (::read(reader.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    return std::unexpected("cannot run " + *program + ": " + system_text(error));
  }
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
  if (pidfd < 0) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return std::unexpected("pidfd_open: " + system_text(why));
  }
  return Spawned{pid, pidfd};
}

std::string read_all(int fd) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size <= 0) return "";
  const std::size_t wanted = std::min(static_cast<std::size_t>(size), max_output);
  std::string text(wanted, '\0');
  const ssize_t n = ::pread(fd, text.data(), wanted, size - static_cast<off_t>(wanted));
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

Process::End end_of(int status) {
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)};
}

}  // namespace

std::expected<Process, std::string> Process::start(const Options& options) {
  const auto open_log = [](const std::filesystem::path& path) {
    return Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  };
  Fd both;
  Fd standard_output;
  if (options.inherit_terminal) {
    both = Fd(::dup(2));
    standard_output = Fd(::dup(1));
  }
  if (!options.output.empty()) both = open_log(options.output);
  if (!options.standard_output.empty()) standard_output = open_log(options.standard_output);
  if ((!options.output.empty() && both.get() < 0) ||
      (!options.standard_output.empty() && standard_output.get() < 0)) {
    return std::unexpected("cannot open " + options.output.string() + options.standard_output.string() +
                           ": " + system_text(errno));
  }
  return start_with(options, standard_output.get() >= 0 ? standard_output.get() : both.get(), both.get());
}

std::expected<Process, std::string> Process::start_with(const Options& options, int out, int err) {
  const auto spawned = spawn(options, out, err);
  if (!spawned) return std::unexpected(spawned.error());
  return Process(spawned->pid, spawned->pidfd);
}

Process::~Process() {
  kill();
  if (pidfd_ >= 0) ::close(pidfd_);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::exchange(other.pidfd_, -1)), end_(other.end_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(end_, other.end_);
  return *this;
}

bool Process::running() {
  return pid_ != 0 && !wait(Millis(0));
}

bool Process::send(int signal) {
  // Not reaped yet, so the pid is still ours and not a stranger's.
  return running() && ::kill(pid_, signal) == 0;
}

bool Process::freeze() {
  if (!send(SIGSTOP)) return false;
  siginfo_t info{};
  int waited = 0;
  do {
    waited = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT);
  } while (waited != 0 && errno == EINTR);
  return waited == 0 && info.si_code == CLD_STOPPED;
}

std::optional<Process::End> Process::wait(Millis timeout) {
  if (pid_ == 0 || end_) return end_;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<Millis>(deadline - std::chrono::steady_clock::now());
    pollfd item{.fd = pidfd_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&item, 1, static_cast<int>(std::clamp<Millis::rep>(left.count(), 0, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == pid_) end_ = end_of(status);
    if (reaped < 0 && errno == ECHILD) end_ = End{-SIGKILL};  // somebody else reaped it
    return end_;
  }
}

void Process::kill() {
  if (pid_ == 0 || end_) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(pid_, &status, 0);
  } while (reaped < 0 && errno == EINTR);
  end_ = reaped == pid_ ? end_of(status) : End{-SIGKILL};
}

std::expected<Finished, std::string> run(const Process::Options& options, Millis timeout) {
  const Fd out(::memfd_create("out", MFD_CLOEXEC));
  const Fd err(::memfd_create("err", MFD_CLOEXEC));
  if (out.get() < 0 || err.get() < 0) return std::unexpected("memfd_create: " + system_text(errno));
  auto started = Process::start_with(options, out.get(), err.get());
  if (!started) return std::unexpected(started.error());
  Finished finished;
  auto end = started->wait(timeout);
  if (!end) {
    started->kill();
    finished.timed_out = true;
    end = started->end();
  }
  finished.code = end->code;
  finished.out = read_all(out.get());
  finished.err = read_all(err.get());
  return finished;
}

}  // namespace pointsman::testbed
