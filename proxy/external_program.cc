#include "proxy/external_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "health/io/descriptor.h"
#include "health/io/spawn.h"
#include "health/io/system_text.h"

extern char** environ;

namespace pointsman::proxy {
namespace {

using io::Descriptor;

constexpr std::size_t read_size = 1024;
constexpr std::size_t pipe_capacity = 65536;  // pipe(7)
constexpr int low_priority = 10;              // as nice(1) does; the daemon may be at -10

struct Child {
  pid_t pid = -1;
  Descriptor input;   // we write
  Descriptor output;  // we read
  Descriptor exited;  // a pidfd
};

// Our own environment, with `more` in it.
std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  std::vector<std::string> all = more;
  for (char* const* own = environ; *own != nullptr; ++own) {
    const std::string_view text(*own);
    const auto name = text.substr(0, text.find('=') + 1);
    if (std::ranges::none_of(more, [&](const std::string& one) { return one.starts_with(name); }))
      all.emplace_back(text);
  }
  return all;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::optional<std::string> spawn(const ProgramOrder& order, Child& child) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0) return io::system_text(errno);
  Descriptor in_read(in[0]);
  child.input = Descriptor(in[1]);
  if (::pipe2(out.data(), O_CLOEXEC) != 0) return io::system_text(errno);
  Descriptor out_write(out[1]);
  child.output = Descriptor(out[0]);
  ::fcntl(child.input.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(child.output.get(), F_SETFL, O_NONBLOCK);

  std::vector<std::string> words = order.command;
  std::vector<std::string> environment = environment_with(order.environment);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in_read.get(), 0);
  posix_spawn_file_actions_adddup2(&files, out_write.get(), 1);
  posix_spawn_file_actions_adddup2(&files, out_write.get(), 2);
  const int status =
      io::spawn_in_group(&child.pid, io::pointers(words).data(), files, io::pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) return "cannot start " + order.command.front() + ": " + io::system_text(status);
  // Its whole group: it may have started others by now.
  if (order.low_priority) ::setpriority(PRIO_PGRP, static_cast<id_t>(child.pid), low_priority);
  child.exited = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  if (child.exited) return std::nullopt;
  const int error = errno;
  ::kill(-child.pid, SIGKILL);
  wait_for(child.pid);
  return "cannot watch " + order.command.front() + ": " + io::system_text(error);
}

void keep_tail(std::string& text, const char* data, std::size_t size) {
  text.append(data, size);
  if (text.size() > max_program_output) text.erase(0, text.size() - max_program_output);
}

// False: end of the stream.
bool read_some(int fd, std::string& printed) {
  std::array<char, read_size> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) keep_tail(printed, buffer.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

enum class Ended { by_itself, late, stopped };

// Feeds and listens until the program has exited, or must.
Ended attend(Child& child, std::string input, std::string& printed, core::Instant deadline, int stop) {
  for (;;) {
    const core::Duration left = deadline - io::now();
    if (left <= core::Duration::zero()) return Ended::late;
    std::array<pollfd, 4> fds{pollfd{child.exited.get(), POLLIN, 0}, pollfd{child.output.get(), POLLIN, 0},
                              pollfd{child.input.get(), POLLOUT, 0}, pollfd{stop, POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(left) + 1)) < 0 && errno != EINTR)
      return Ended::late;
    if (fds[1].revents != 0 && !read_some(child.output.get(), printed)) child.output.close();
    if (fds[2].revents != 0) {
      const ssize_t n = input.empty() ? 0 : ::write(child.input.get(), input.data(), input.size());
      if (n > 0) input.erase(0, static_cast<std::size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) child.input.close();
    }
    if (fds[0].revents != 0) {
      // What it printed last is in the pipe still, behind as much as that holds; a grandchild that keeps it
      // open is not waited for.
      for (std::size_t i = 0; i < pipe_capacity / read_size && child.output; ++i) {
        if (!read_some(child.output.get(), printed)) child.output.close();
      }
      return Ended::by_itself;
    }
    if (fds[3].revents != 0) return Ended::stopped;
  }
}

}  // namespace

std::expected<void, ProgramFailure> run_program(const ProgramOrder& order) {
  using enum ProgramFailure::How;
  Child child;
  const core::Instant deadline = io::now() + order.timeout;
  const Descriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return std::unexpected(ProgramFailure{not_started, io::system_text(errno)});
  if (auto error = spawn(order, child)) return std::unexpected(ProgramFailure{not_started, *error});
  std::string printed;
  const std::stop_callback ring(order.stop, [&stop] { ::eventfd_write(stop.get(), 1); });
  const Ended ended = attend(child, order.input, printed, deadline, stop.get());
  if (ended != Ended::by_itself) ::kill(-child.pid, SIGKILL);
  const int status = wait_for(child.pid);
  while (!printed.empty() && printed.back() == '\n') printed.pop_back();
  const auto failure = [&](ProgramFailure::How how, const std::string& what) {
    return std::unexpected(ProgramFailure{
        how, order.command.front() + " " + what + (printed.empty() ? "" : ", and said: " + printed)});
  };
  if (ended == Ended::stopped) return failure(stopped, "was ended early");
  if (ended == Ended::late)
    return failure(timed_out,
                   "did not end within " + std::to_string(core::to_ms(order.timeout)) + " ms and was killed");
  if (WIFSIGNALED(status)) return failure(failed, "was ended by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return failure(failed, "failed with status " + std::to_string(WEXITSTATUS(status)));
  return {};
}

std::string fence_options(const std::string& backend) {
  return "action=off\nplug=" + backend + "\nport=" + backend + "\nnodename=" + backend + "\n";
}

}  // namespace pointsman::proxy
