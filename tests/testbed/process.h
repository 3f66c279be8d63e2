#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace pointsman::testbed {

using Millis = std::chrono::milliseconds;

// A program that we started. Its end is ours to wait for, and it ends with us: by the destructor, and by the
// kernel (SIGKILL) when this whole process dies first. One thread at a time may use an object; any thread may
// have started it.
class Process {
 public:
  struct Options {
    std::vector<std::string> argv{};          // argv[0] is the program, looked up in PATH
    std::vector<std::string> environment{};   // NAME=VALUE, added to ours
    std::filesystem::path directory{};        // working directory{}; "": ours
    std::filesystem::path output{};           // standard output and error are appended to it; "": /dev/null
    std::filesystem::path standard_output{};  // when set, standard output goes there instead
    bool inherit_terminal = false;            // output goes where ours goes
    // A network namespace (Network::path) that the child enters before the program starts; "": ours. For
    // root.
    std::filesystem::path network_namespace{};
  };
  // How it ended: `code` is the exit status, or -signal.
  struct End {
    int code = 0;
  };

  static std::expected<Process, std::string> start(const Options& options);
  // Output to these descriptors, which stay the caller's (-1: /dev/null), whatever `options` say of it.
  static std::expected<Process, std::string> start_with(const Options& options, int out, int err);

  Process() = default;
  ~Process();  // SIGKILL, and waits for the end
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  pid_t pid() const { return pid_; }  // 0: none
  bool running();
  bool send(int signal);  // false: it has ended
  // SIGSTOP, and waits until every thread of it stands still, which the signal alone does not. false: it has
  // ended.
  bool freeze();
  // nullopt: it still runs after `timeout`.
  std::optional<End> wait(Millis timeout);
  // SIGKILL, and waits for the end of the process, not only of its life as seen by others.
  void kill();
  // How it ended, once running() said false or wait() said so.
  std::optional<End> end() const { return end_; }

 private:
  explicit Process(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}

  pid_t pid_ = 0;
  int pidfd_ = -1;
  std::optional<End> end_;
};

struct Finished {
  int code = 0;  // exit status, or -signal; -SIGKILL when it ran out of time
  bool timed_out = false;
  std::string out;  // at most the last 16 MiB
  std::string err;
};

// Runs a program to its end, but not longer than `timeout`.
std::expected<Finished, std::string> run(const Process::Options& options, Millis timeout);

}  // namespace pointsman::testbed
