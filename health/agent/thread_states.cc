#include "health/agent/thread_states.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace pointsman::agent {
namespace {

// linux/sched.h. Stable since 2.6, but for 0x8, which older kernels set later on the same way
// (PF_EXITPIDONE).
constexpr unsigned exiting = 0x4;        // PF_EXITING
constexpr unsigned post_coredump = 0x8;  // PF_POSTCOREDUMP: waits for the core of its process
constexpr unsigned dumps_core = 0x200;   // PF_DUMPCORE
constexpr unsigned signaled = 0x400;     // PF_SIGNALED: killed by a signal
constexpr unsigned on_its_way_out = exiting | post_coredump | dumps_core | signaled;

// Of a thread that is gone: `exiting`. nullopt: cannot be told.
std::optional<unsigned> flags_of(int stat_fd) {
  std::array<char, 512> line;  // the flags are among the first 100 bytes
  const ssize_t got = ::pread(stat_fd, line.data(), line.size(), 0);
  if (got <= 0) return got == 0 || errno == ESRCH ? std::optional(exiting) : std::nullopt;
  return task_flags({line.data(), static_cast<std::size_t>(got)});
}

// Not alive: gone, or its flags say that it goes. nullopt: cannot be told.
std::optional<bool> goes(int stat_fd) {
  const auto flags = flags_of(stat_fd);
  if (!flags) return std::nullopt;
  return (*flags & on_its_way_out) != 0;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

// "1234 (name with ) and blanks) S ppid pgrp session tty tpgid flags ...": the flags are the seventh word
// after the last ')'.
std::optional<unsigned> task_flags(std::string_view stat_line) {
  const std::size_t name_end = stat_line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = stat_line.substr(name_end + 1);
  constexpr int words_before = 6;
  for (int word = 0; word <= words_before; ++word) {
    if (!rest.starts_with(' ')) return std::nullopt;
    rest.remove_prefix(1);
    if (word < words_before) rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  }
  unsigned flags = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), flags);
  // A number that is cut off would be another one.
  if (error != std::errc{} || end == rest.data() + rest.size() || *end != ' ') return std::nullopt;
  return flags;
}

std::expected<ThreadStates, std::string> ThreadStates::open(pid_t pid) {
  ThreadStates states(pid, ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC),
                      -1);
  if (!states.find_witness() && ::access(("/proc/" + std::to_string(pid) + "/task").c_str(), X_OK) != 0)
    return std::unexpected("cannot read the threads of process " + std::to_string(pid) +
                           " in /proc: " + std::error_code(errno, std::generic_category()).message());
  return states;
}

ThreadStates::~ThreadStates() {
  if (first_ >= 0) ::close(first_);
  if (witness_ >= 0) ::close(witness_);
}

ThreadStates::ThreadStates(ThreadStates&& other) noexcept
    : pid_(other.pid_),
      first_(std::exchange(other.first_, -1)),
      witness_(std::exchange(other.witness_, -1)) {}

bool ThreadStates::dying() {
  if (witness_ >= 0 && !goes(witness_).value_or(false)) return false;
  // Twice: a thread may be made by one that ends, behind the back of a walk through the list.
  return !find_witness() && !find_witness();
}

bool ThreadStates::by_signal() const {
  return first_ >= 0 && (flags_of(first_).value_or(0) & signaled) != 0;
}

// False: there is none. What cannot be told is taken for life.
bool ThreadStates::find_witness() {
  if (witness_ >= 0) ::close(std::exchange(witness_, -1));
  const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(tasks.c_str()));
  if (!directory) return errno != ENOENT && errno != ESRCH;
  while (const dirent* entry =
             ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of its own
    if (entry->d_name[0] == '.') continue;
    const std::string stat = std::string(entry->d_name) + "/stat";
    const int fd = ::openat(::dirfd(directory.get()), stat.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENOENT || errno == ESRCH) continue;
      return true;
    }
    const auto going = goes(fd);
    if (going.value_or(false)) {
      ::close(fd);
      continue;
    }
    witness_ = fd;
    return true;
  }
  return false;
}

}  // namespace pointsman::agent
