#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin_protocol.h"

namespace CLI {
class App;
}

namespace pointsman::proxy::cli {

enum class Command {
  run,
  check,
  status,
  explain,
  events,
  sessions,
  switchover,
  failover,
  rejoin,
  maintenance,
  automatic,
  pause,
  resume,
  reload,
  drain,
  keygen,
  import_heartbeat,
  setup,
  verify,
};

// What the operator typed, checked.
struct Invocation {
  Command command = Command::status;
  std::string config = "/etc/pointsman/pointsman.toml";
  bool config_given = false;
  std::string socket;  // empty: the configuration's
  bool json = false;
  bool watch = false;
  std::chrono::milliseconds interval{1000};  // of watch
  bool follow = false;
  unsigned limit = 0;  // of events or sessions
  bool dry_run = false;
  std::chrono::milliseconds max_wait{10'000};  // of switchover, as the next one
  bool end_transactions = false;
  bool force = false;
  bool discard = false;
  bool takeover = false;                               // run
  std::optional<std::chrono::milliseconds> timeout{};  // drain; nullopt: the configuration's
  bool on = false;                                     // maintenance, automatic
  std::string name;                                    // of a server; empty where it may be left out
  std::string file;                                    // keygen
  bool rotate = false;
  bool add = false;
  std::string ha_cf;  // import-heartbeat, as the next three
  std::string haresources;
  std::string authkeys;
  std::string output_dir = ".";
  std::string admin_user = "root";  // setup, as all below; verify: "", the monitor account
  std::string admin_password_file;
  std::vector<std::string> admin_sockets;  // "NAME=PATH"
  std::vector<std::string> overwrite;      // names of servers
  std::string account_host = "%";
  std::chrono::seconds restart_timeout{900};
};

// Nothing to do but to print: help or version (done, to standard output), or what is wrong (usage, to
// standard error).
struct Stop {
  ExitStatus status = ExitStatus::usage;
  std::string text;
};

// `arguments` without the program's name.
std::expected<Invocation, Stop> parse_command_line(const std::vector<std::string>& arguments);

// Shows the reader all commands with their options, as they are parsed; for manual pages and completion.
void describe_command_line(const std::function<void(const CLI::App&)>& reader);

}  // namespace pointsman::proxy::cli
