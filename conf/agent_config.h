#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "conf/loader.h"
#include "conf/problem.h"

// agent.toml: what pointsman-agent on a database host is told. Plain data, immutable once loaded, read by
// every thread of the agent. Every key is checked as those of pointsman.toml are.
namespace pointsman::conf {

struct AgentHeartbeat {
  std::string node;                   // this host's name, as [[backend]] of pointsman.toml calls it
  HostPort listen{"0.0.0.0", 694};    // UDP
  std::vector<HostPort> proxies;      // where Pointsman listens (its heartbeat.listen)
  std::optional<std::string> serial;  // device path
  unsigned baud = 19200;
  Duration keepalive = 100ms;
  std::string authkeys = "/etc/pointsman/authkeys";
};

struct AgentMysql {
  std::string socket = "/run/mysqld/mysqld.sock";
  Account account;
  Duration ping_timeout = 500ms;  // a server that has not answered for so long is called silent
};

struct AgentFence {
  bool kill_hung = true;     // a mysqld that hangs may be ended by SIGKILL when Pointsman orders it
  bool kill_clients = true;  // a server that must not write any more loses its clients, too
  // Remembers over a restart of the agent that this host holds the primary's role. On a file system that a
  // reboot empties.
  std::string state_dir = "/run/pointsman-agent";
};

// Copies of a MariaDB server's data by mariadb-backup, which `pointsman setup` orders; `pointsman-agent
// copies` makes them.
struct AgentCopy {
  // TCP, "host:port"; "": no copies. `setup` looks for it at the addresses of backend.udp, by TCP.
  std::string listen;
  // What stops and starts the local server; without them its data are not replaced, and it can only be
  // copied from.
  std::vector<std::string> stop_command;
  std::vector<std::string> start_command;
  std::string backup_program;  // "": mariadb-backup, found in PATH
  // Remembers what is under way, over a reboot.
  std::string state_dir = "/var/lib/pointsman-agent";
};

struct AgentConfig {
  std::string file;
  AgentHeartbeat heartbeat;
  AgentMysql mysql;
  AgentFence fence;
  AgentCopy copy;
  Log log;
};

// As conf::load().
std::expected<AgentConfig, std::vector<Problem>> load_agent(const std::string& path,
                                                            LoadOptions options = {});
std::expected<AgentConfig, std::vector<Problem>> load_agent_text(std::string_view text, std::string name,
                                                                 LoadOptions options = {});

}  // namespace pointsman::conf
