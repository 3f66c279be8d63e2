#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The configuration as plain data: what the operator's TOML means once every key and relation has been
// checked. Made by conf/loader.h, immutable afterwards, read by every thread. Defaults are those of the
// contract; a field without one has no default there (names, addresses, accounts, secrets).
namespace pointsman::conf {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// A TCP or UDP endpoint as written by the operator; `host` is a name, an IPv4 or an IPv6 address (without
// brackets).
struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

// "host:port", with brackets round an IPv6 address.
std::string to_string(const HostPort& address);

// A secret read from a file of its own, so that the configuration can be shown to people.
struct Account {
  std::string user;
  std::string password_file;
  std::string password;  // the first line of password_file, without its line end
};

enum class SemiSync { required, preferred, off };
enum class ProxyProtocol { off, v2 };
enum class LogLevel { trace, debug, info, warn, error };
enum class LogFormat { text, json };
enum class Discard { never, unacknowledged, always };
enum class Chained { keep, move_up };

struct Proxy {
  std::vector<HostPort> listen{{"0.0.0.0", 3306}};
  std::vector<std::string> listen_unix;  // paths of sockets, besides
  unsigned threads = 0;                  // worker loops; 0: one per core
  bool io_uring = true;                  // by which they carry bytes, where the kernel has it for us
  unsigned max_connections = 4000;
  Duration connect_timeout = 1s;  // TCP connect to a backend
  Duration login_timeout = 30s;  // how long a client may take for the first step of its login; zero: no limit
  Duration hold_timeout = 10s;   // how long a new client waits while no primary is routed
  unsigned max_held = 1000;
  unsigned release_rate =
      500;  // held clients released per second after a change of primary, all workers together
  Duration drain_timeout = 1h;  // how long a former process, or a daemon that drains, serves its sessions
  ProxyProtocol proxy_protocol = ProxyProtocol::off;
  std::vector<std::string> proxy_protocol_from;  // CIDRs
  std::string state_dir = "/var/lib/pointsman";
};

struct Admin {
  std::string socket = "/run/pointsman/admin.sock";
  std::string metrics = "127.0.0.1:9366";  // "": off
};

struct Log {
  LogLevel level = LogLevel::info;
  std::string file;  // "": standard error
  LogFormat format = LogFormat::text;
};

struct Monitor {
  Account account;
  Duration interval = 200ms;  // between two probes of one server
  Duration timeout = 500ms;   // of one probe, connect included
};

struct Replication {
  Account account;
  SemiSync semi_sync = SemiSync::preferred;
  Chained chained = Chained::keep;  // a replica that replicates from another replica
};

struct Heartbeat {
  std::string node;
  HostPort listen{"0.0.0.0", 694};
  Duration keepalive = 100ms;
  Duration warntime = 400ms;
  Duration deadtime = 1s;
  Duration lease = 800ms;  // 0: off
  std::string authkeys = "/etc/pointsman/authkeys";
};

struct Failover {
  bool automatic = true;
  bool failback = false;
  bool allow_loss = false;
  Discard discard = Discard::unacknowledged;
  std::string binlog_program;    // reads what a returning server has alone; "": the product's own, from PATH
  unsigned refused_confirm = 2;  // refused reconnects in a row that confirm a crash
  Duration catchup_timeout = 30s;
  Duration window = 10min;
  unsigned max_in_window = 3;
};

struct Fence {
  bool kill_hung = true;
  std::vector<std::string> command;  // program and arguments; empty: none
};

struct Hooks {
  std::vector<std::string> command;  // program and arguments, run for each event; empty: none
  std::vector<std::string> events{"failover_started", "failover",   "refused",
                                  "no_primary",       "quarantine", "degraded"};  // see conf/event_kinds.h
  Duration timeout = 10s;                                                         // then it is killed
};

struct Backend {
  std::string name;
  HostPort address;
  std::vector<HostPort> udp;          // the agent's addresses; one string or an array of strings
  std::optional<std::string> serial;  // device path
  unsigned baud = 19200;
  unsigned priority = 100;     // the higher is promoted, where two have received the same
  bool never_promote = false;  // but by `failover --to NAME --force`

  bool has_agent() const { return !udp.empty() || serial.has_value(); }
};

struct Config {
  std::string file;  // where it was read from; reload reads it again
  Proxy proxy;
  Admin admin;
  Log log;
  Monitor monitor;
  Replication replication;
  Heartbeat heartbeat;
  Failover failover;
  Fence fence;
  Hooks hooks;
  std::vector<Backend> backends;  // in the order of the file; at least two, at most max_backends
};

inline constexpr std::size_t max_backends = 16;

}  // namespace pointsman::conf
