#include "bench/shell.h"

#include <csignal>

#include "tests/testbed/files.h"

namespace pointsman::bench {

namespace {

constexpr std::size_t shown_bytes = 8192;
constexpr std::size_t shown_lines = 40;

}  // namespace

std::expected<void, std::string> run_shell(const std::string& name, const std::string& command,
                                           testbed::Millis timeout) {
  const auto folder = testbed::TempDirectory::create("command");
  if (!folder) return std::unexpected(folder.error());
  // A file and no pipe: a server that the command starts keeps it open.
  const auto output = folder->path() / "output";
  auto process = testbed::Process::start({.argv = {"sh", "-c", command}, .output = output});
  if (!process) return std::unexpected(name + ": " + process.error());
  const auto end = process->wait(timeout);
  if (end && end->code == 0) return {};
  if (!end) {
    ::kill(-process->pid(), SIGKILL);  // sh is still ours, and so is the group that bears its number
    process->kill();
  }
  const std::string how = !end            ? "does not end within " + std::to_string(timeout.count()) + " ms"
                          : end->code < 0 ? "was ended by signal " + std::to_string(-end->code)
                                          : "exit status " + std::to_string(end->code);
  const std::string wrote = testbed::last_lines(testbed::read_tail(output, shown_bytes), shown_lines);
  return std::unexpected(name + ": " + how + (wrote.empty() ? ", without a word" : "; it says:\n" + wrote));
}

}  // namespace pointsman::bench
