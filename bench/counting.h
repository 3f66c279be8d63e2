#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "bench/tool_output.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

// strace and callgrind on a proxy that runs. One thread.
namespace pointsman::bench {

// Nothing when both programs are there, or which one is missing and what gets it.
std::expected<void, std::string> find_counting_programs();

// The threads of a process whose names begin so; "": all.
std::vector<pid_t> threads_of(pid_t pid, const std::string& name);

// Counts the system calls of some threads for as long as it lives or until counted().
class Strace {
 public:
  static std::expected<Strace, std::string> attach(const std::vector<pid_t>& threads);
  std::expected<CallCounts, std::string> counted();

 private:
  explicit Strace(testbed::TempDirectory directory) : directory_(std::move(directory)) {}
  std::filesystem::path output() const { return directory_.path() / "counts"; }

  testbed::TempDirectory directory_;
  testbed::Process process_;
};

// A folder for one program that runs under callgrind.
class Callgrind {
 public:
  static std::expected<Callgrind, std::string> create();

  // What is to stand before the program's own words.
  std::vector<std::string> command() const;
  // A program that runs `program` so when its first word is `word`, and plainly otherwise. Error: not
  // written.
  std::expected<std::filesystem::path, std::string> wrapper(const std::filesystem::path& program,
                                                            const std::string& word) const;
  // Instructions since the last call, or since the start, of the threads that ran `function`; "": of all.
  std::expected<double, std::string> counted(pid_t pid, const std::string& function);

 private:
  explicit Callgrind(testbed::TempDirectory directory) : directory_(std::move(directory)) {}

  testbed::TempDirectory directory_;
  unsigned dumps_ = 0;
};

}  // namespace pointsman::bench
