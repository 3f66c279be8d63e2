#include "proxy/external_program.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "health/io/descriptor.h"
#include "health/io/spawn.h"

namespace pointsman::proxy {
namespace {

using io::Descriptor;

struct Child {
  pid_t pid = -1;
  Descriptor input;   // we write
  Descriptor output;  // we read
  Descriptor exited;  // a pidfd
};

std::optional<std::string> spawn(const std::vector<std::string>& command, Child& child) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0) return std::strerror(errno);
  Descriptor in_read(in[0]);
  child.input = Descriptor(in[1]);
  if (::pipe2(out.data(), O_CLOEXEC) != 0) return std::strerror(errno);
  Descriptor out_write(out[1]);
  child.output = Descriptor(out[0]);
  ::fcntl(child.input.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(child.output.get(), F_SETFL, O_NONBLOCK);

  std::vector<std::string> copies = command;
  std::vector<char*> argv;
  argv.reserve(copies.size() + 1);
  for (auto& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in_read.get(), 0);
  posix_spawn_file_actions_adddup2(&files, out_write.get(), 1);
  posix_spawn_file_actions_adddup2(&files, out_write.get(), 2);
  const int status = io::spawn_in_group(&child.pid, argv.data(), files);
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) return std::string("cannot start ") + command.front() + ": " + std::strerror(status);
  child.exited = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  return std::nullopt;
}

void keep_tail(std::string& text, const char* data, std::size_t size) {
  text.append(data, size);
  if (text.size() > max_program_output) text.erase(0, text.size() - max_program_output);
}

// False: end of the stream.
bool read_some(int fd, std::string& printed) {
  std::array<char, 1024> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) keep_tail(printed, buffer.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

// Feeds and listens until the program has exited; false: not in time.
bool attend(Child& child, std::string input, std::string& printed, core::Instant deadline) {
  for (;;) {
    const core::Duration left = deadline - io::now();
    if (left <= core::Duration::zero()) return false;
    std::array<pollfd, 3> fds{pollfd{child.exited.get(), POLLIN, 0}, pollfd{child.output.get(), POLLIN, 0},
                              pollfd{child.input.get(), POLLOUT, 0}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(left) + 1)) < 0 && errno != EINTR)
      return false;
    if (fds[1].revents != 0 && !read_some(child.output.get(), printed)) child.output.close();
    if (fds[2].revents != 0) {
      const ssize_t n = input.empty() ? 0 : ::write(child.input.get(), input.data(), input.size());
      if (n > 0) input.erase(0, static_cast<std::size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) child.input.close();
    }
    if (fds[0].revents != 0) {
      // What it printed last may be read after its end; a grandchild that keeps the pipe open is not waited
      // for.
      for (std::size_t i = 0; i < max_program_output / 1024 && child.output.get() >= 0; ++i) {
        if (!read_some(child.output.get(), printed)) child.output.close();
      }
      return true;
    }
  }
}

}  // namespace

std::expected<void, std::string> run_program(const std::vector<std::string>& command,
                                             const std::string& input, core::Duration timeout) {
  Child child;
  const core::Instant deadline = io::now() + timeout;
  if (auto error = spawn(command, child)) return std::unexpected(*error);
  std::string printed;
  const bool exited = attend(child, input, printed, deadline);
  if (!exited) ::kill(-child.pid, SIGKILL);
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  while (!printed.empty() && printed.back() == '\n') printed.pop_back();
  const std::string said = printed.empty() ? "" : ", and said: " + printed;
  if (!exited)
    return std::unexpected(command.front() + " did not end within " + std::to_string(core::to_ms(timeout)) +
                           " ms" + said);
  if (WIFSIGNALED(status))
    return std::unexpected(command.front() + " was ended by signal " + std::to_string(WTERMSIG(status)) +
                           said);
  if (WEXITSTATUS(status) != 0)
    return std::unexpected(command.front() + " failed with status " + std::to_string(WEXITSTATUS(status)) +
                           said);
  return {};
}

std::string fence_options(const std::string& backend) {
  return "action=off\nplug=" + backend + "\nport=" + backend + "\nnodename=" + backend + "\n";
}

}  // namespace pointsman::proxy
