#pragma once

#include <cstddef>
#include <expected>
#include <stop_token>
#include <string>
#include <vector>

#include "health/core/time.h"

namespace pointsman::proxy {

inline constexpr std::size_t max_program_output = 4096;  // bytes kept, the last ones

// What one run is given.
struct ProgramOrder {
  std::vector<std::string> command{};  // program and arguments
  std::string input{};                 // on its standard input
  core::Duration timeout{};
  std::vector<std::string> environment{};  // "NAME=value", in place of our own of that name
  bool low_priority = false;               // the daemon goes first
  std::stop_token stop{};                  // ends it early
};

struct ProgramFailure {
  enum class How { not_started, timed_out, stopped, failed };
  How how = How::failed;
  std::string text;  // how it ended, and what it printed last
};

// Runs a program of the operator's and waits for it; exit status 0 is success. One that takes too long or is
// stopped is killed with its process group. What it leaves running when it exits is left alone. Blocks: for
// a thread that has the time. The process must ignore SIGPIPE: the program may not read its input.
std::expected<void, ProgramFailure> run_program(const ProgramOrder& order);

// What fence-agents read on standard input to switch `backend` off (FenceAgentAPI: name=value lines).
std::string fence_options(const std::string& backend);

}  // namespace pointsman::proxy
