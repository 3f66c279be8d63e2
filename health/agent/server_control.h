#pragma once

#include <expected>
#include <optional>
#include <string>

#include <sys/types.h>

#include "conf/agent_config.h"
#include "health/copy/child.h"
#include "health/core/time.h"
#include "health/mysql/waker.h"

namespace pointsman::agent {

// The server behind the configured socket, as the kernel knows it: nothing is asked of the server itself,
// which may not have an account for us yet.
struct LocalServer {
  pid_t pid = 0;
  std::string program;  // its executable
  std::string data;     // its data folder, which is its working directory
};

// nullopt: nobody listens. Error: somebody does, and cannot be looked at.
std::expected<std::optional<LocalServer>, std::string> find_local_server(const std::string& socket);

// A process that works in `folder`: a server that starts, and does not listen yet, does so too. 0: none is
// seen.
pid_t find_process_in(const std::string& folder);

// Stops and starts the local server by the operator's commands. Blocks; one thread.
class ServerControl {
 public:
  // All outlive this. While `cancel` is rung every call fails at once. `lock_fd` is kept by the command that
  // stops, which may go on when we are killed.
  ServerControl(const conf::AgentConfig& config, int lock_fd, const mysql::Waker& cancel)
      : config_(config), lock_fd_(lock_fd), cancel_(cancel) {}

  // Returns when nobody works in the data folder any more. The command is run in any case: a server may be
  // starting that nobody sees yet.
  std::expected<void, std::string> stop(const std::string& data);
  // Returns when it answers, be it with a refusal; that one runs already is fine.
  std::expected<void, std::string> start();

  static constexpr core::Duration command_timeout = std::chrono::minutes(15);

 private:
  std::expected<void, std::string> command(const copy::Child::Program& program);
  bool answers() const;

  const conf::AgentConfig& config_;
  const int lock_fd_;
  const mysql::Waker& cancel_;
};

}  // namespace pointsman::agent
