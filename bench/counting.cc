#include "bench/counting.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

namespace pointsman::bench {

namespace fs = std::filesystem;
using testbed::Millis;

namespace {

constexpr Millis tool_timeout{30000};
constexpr Millis counter_look_pause{5};

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_traced(pid_t thread) {
  const std::string status = text_of("/proc/" + std::to_string(thread) + "/status");
  const std::size_t at = status.find("TracerPid:\t");
  return at != std::string::npos && status[at + 11] != '0';
}

}  // namespace

std::expected<void, std::string> find_counting_programs() {
  for (const char* program : {"strace", "valgrind", "callgrind_control"}) {
    const auto told = testbed::run({.argv = {program, "--version"}}, tool_timeout);
    if (!told || told->code != 0)
      return std::unexpected(std::string(program) + " is missing; tests/install bench gets it");
  }
  return {};
}

std::vector<pid_t> threads_of(pid_t pid, const std::string& name) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    if (text_of(entry.path() / "comm").starts_with(name)) found.push_back(std::stoi(entry.path().filename()));
  }
  return found;
}

std::expected<Strace, std::string> Strace::attach(const std::vector<pid_t>& threads) {
  auto directory = testbed::TempDirectory::create("strace");
  if (!directory) return std::unexpected(directory.error());
  Strace strace(std::move(*directory));
  std::vector<std::string> argv{"strace", "-c", "-o", strace.output().string()};
  for (const pid_t thread : threads) argv.insert(argv.end(), {"-p", std::to_string(thread)});
  const auto log = strace.directory_.path() / "log";
  auto process = testbed::Process::start({.argv = argv, .output = log});
  if (!process) return std::unexpected(process.error());
  strace.process_ = std::move(*process);
  const auto deadline = std::chrono::steady_clock::now() + tool_timeout;
  while (threads.empty() || !std::ranges::all_of(threads, is_traced)) {
    if (threads.empty() || !strace.process_.running() || std::chrono::steady_clock::now() >= deadline)
      return std::unexpected("strace does not attach: " + testbed::read_tail(log, 4096));
    std::this_thread::sleep_for(counter_look_pause);
  }
  return strace;
}

std::expected<CallCounts, std::string> Strace::counted() {
  process_.send(SIGINT);
  if (!process_.wait(tool_timeout)) return std::unexpected("strace does not end");
  return parse_strace_counts(text_of(output()));
}

std::expected<Callgrind, std::string> Callgrind::create() {
  auto directory = testbed::TempDirectory::create("callgrind");
  if (!directory) return std::unexpected(directory.error());
  return Callgrind(std::move(*directory));
}

std::vector<std::string> Callgrind::command() const {
  return {"valgrind", "--tool=callgrind", "--separate-threads=yes",
          "--callgrind-out-file=" + (directory_.path() / "out").string()};
}

std::expected<fs::path, std::string> Callgrind::wrapper(const fs::path& program,
                                                        const std::string& word) const {
  std::string counted;
  for (const std::string& part : command()) counted += part + " ";
  fs::path path = directory_.path() / "program";
  const std::string text = "#!/bin/sh\n[ \"$1\" = " + word + " ] && exec " + counted + program.string() +
                           " \"$@\"\nexec " + program.string() + " \"$@\"\n";
  if (auto written = testbed::write_file(path, text, 0700); !written) return std::unexpected(written.error());
  return path;
}

std::expected<double, std::string> Callgrind::counted(pid_t pid, const std::string& function) {
  const auto told =
      testbed::run({.argv = {"callgrind_control", "--dump", std::to_string(pid)}}, tool_timeout);
  if (!told) return std::unexpected(told.error());
  // Written before the command returns; a file for each thread.
  const std::string stem = "out." + std::to_string(++dumps_) + "-";
  double sum = 0;
  unsigned threads = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_.path(), error)) {
    if (!entry.path().filename().string().starts_with(stem)) continue;
    const std::string profile = text_of(entry.path());
    if (profile.find(function) == std::string::npos) continue;
    const auto instructions = parse_callgrind_total(profile);
    if (!instructions) return std::unexpected(instructions.error());
    sum += *instructions;
    ++threads;
  }
  if (threads == 0)
    return std::unexpected("callgrind_control wrote nothing: " +
                           testbed::last_lines(told->out + told->err, 5));
  return sum;
}

}  // namespace pointsman::bench
