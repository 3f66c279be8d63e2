#include "proxy/successor.h"

#include <algorithm>
#include <utility>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/spawn.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

constexpr core::Duration look_period = std::chrono::milliseconds(200);
constexpr const char* takeover_option = "--takeover";

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Successor::Successor(io::Loop& loop, io::Log& log, std::vector<std::string> command,
                     std::vector<std::string> environment)
    : log_(log),
      command_(std::move(command)),
      environment_(std::move(environment)),
      timer_(loop, [this] { look(); }) {
  if (std::ranges::find(command_, takeover_option) == command_.end()) command_.emplace_back(takeover_option);
}

void Successor::start(OnEnd on_end) {
  if (child_ != 0) {
    log_.warn("takeover_not_started", {{"why", "one is under way"}, {"pid", child_}});
    if (on_end) on_end("process " + std::to_string(child_) + " is about to take over");
    return;
  }
  on_end_ = std::move(on_end);
  std::vector<std::string> command = command_;
  std::vector<std::string> environment = environment_;
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const int status =
      io::spawn_in_group(&child_, io::pointers(command).data(), files, io::pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) {
    child_ = 0;
    log_.error("takeover_not_started", {{"program", command.front()}, {"why", system_says(status)}});
    return end("cannot start " + command.front() + ": " + system_says(status));
  }
  log_.info("takeover_started", {{"program", command.front()}, {"pid", child_}});
  timer_.start_every(look_period);
}

// It has ended while we are still here, so it did not come to serve.
void Successor::look() {
  int status = 0;
  if (::waitpid(child_, &status, WNOHANG) == 0) return;
  const std::string how = how_it_ended(status);
  log_.error("takeover_failed", {{"pid", child_}, {"why", how}});
  const std::string who = "process " + std::to_string(child_);
  child_ = 0;
  timer_.stop();
  end(who + " did not come to serve (" + how + "); the log says why");
}

void Successor::end(const std::string& why_not) {
  if (const OnEnd on_end = std::exchange(on_end_, {})) on_end(why_not);
}

}  // namespace pointsman::proxy
