#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/time.h"
#include "proxy/proxy_header.h"
#include "proxy/route.h"
#include "proxy/service_sockets.h"
#include "proxy/session_end.h"

namespace pointsman::io {
class Log;
}

namespace pointsman::proxy {

struct SessionInfo {
  std::uint64_t id = 0;
  std::string client;                      // "10.0.0.7:51234"
  std::optional<core::BackendId> backend;  // nullopt: held
  core::Duration age{};
  std::uint64_t bytes_from_client = 0;
  std::uint64_t bytes_from_server = 0;
  unsigned worker = 0;
};

struct SessionCounts {
  std::uint64_t open = 0;    // connections of clients that are not ended yet, whatever they are
  std::uint64_t active = 0;  // relaying or connecting to a backend
  std::uint64_t held = 0;
  std::uint64_t total = 0;  // accepted since start
  std::uint64_t refused_max_connections = 0;
  std::uint64_t refused_max_held = 0;
  std::uint64_t hold_timeouts = 0;  // clients that got an ERR packet because no server took them in time
  std::array<std::uint64_t, proxy_header::fault_count> refused_headers{};
  std::array<std::uint64_t, session_ends> ended{};
  std::uint64_t accept_pauses = 0;  // times that accepting paused for want of file descriptors or memory
  std::uint64_t holds = 0;          // times that a client had to wait for a server
  std::uint64_t bytes_from_clients = 0;
  std::uint64_t bytes_from_servers = 0;
  std::array<std::uint64_t, conf::max_backends> active_by_backend{};
};

// The worker threads: each a loop with its own SO_REUSEPORT listeners and sessions. The one thing that the
// control loop's thread, which owns this, knows of the data path.
class Workers {
 public:
  struct Options {
    conf::Proxy proxy;       // threads == 0 means one per core
    io::Log* log = nullptr;  // outlives the Workers
  };

  explicit Workers(Options options);
  ~Workers();  // stops
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Makes the workers, which listen on every address, but accept nothing yet. `given`: see service_sockets().
  // One that is in use: an error that names it, and nothing is left listening.
  std::expected<void, std::string> bind(std::vector<ServiceSocket>& given);
  // Listens, and starts the threads.
  std::expected<void, std::string> run();
  // Both, with nothing given.
  std::expected<void, std::string> start();
  // Closes listeners and sessions, joins the threads; each worker's loop has closed cleanly.
  void stop();

  // Swapped atomically and announced to every worker; takes effect within one loop iteration of each.
  void set_route(RoutePtr route);
  // Like set_route, and calls `applied` when every worker has acted on it: after that no byte of any client
  // is read for a backend of an older route (closed, draining), and closed: none is sent to it, also not what
  // the kernel still had queued. Called once, on a worker's thread, or on this one when the workers do not
  // run.
  void set_route(RoutePtr route, std::function<void()> applied);

  // Calls `acted` when every worker has done all that it was told by the calls before, and has closed the
  // sockets that it should: once, on a worker's thread, or on this one when the workers do not run.
  void when_acted(std::function<void()> acted);

  // The one that was set last.
  RoutePtr route() const;

  // When a session last got bytes from this backend; Instant::min() when never. Lock-free.
  core::Instant last_traffic(core::BackendId backend) const;
  SessionCounts counts() const;  // lock-free sums
  // Asks each worker; `done` is called once, on a worker's thread, or on this one when the workers do not
  // run. At most `limit` sessions are listed.
  void list_sessions(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done);
  // Limits and timeouts of a reloaded configuration (max_connections, hold_timeout, max_held, release_rate,
  // connect_timeout) and the PROXY protocol, for new sessions; listeners stay.
  void reconfigure(const conf::Proxy& proxy);
  // Listens where a reloaded configuration says. Sockets that are no longer in it are closed, their sessions
  // go on. Error: nothing has changed.
  std::expected<void, std::string> relisten(const conf::Proxy& proxy);
  // Closes every listening socket, once who waits there is accepted; sessions go on. Another process that has
  // the sockets too accepts from them as before.
  void stop_accepting();
  // To give to another process. Valid until the next change of them.
  std::span<const ServiceSocket> sockets() const;
  // Whether the files of Unix sockets stay when their sockets go.
  void keep_files(bool kept);
  // The addresses that are bound, with the ports that the kernel chose for port 0; without Unix sockets.
  std::vector<conf::HostPort> listening() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pointsman::proxy
