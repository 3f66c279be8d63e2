#include "proxy/workers.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/io/log.h"
#include "proxy/shared_state.h"
#include "proxy/socket_file.h"
#include "proxy/sockets.h"
#include "proxy/trusted_networks.h"
#include "proxy/worker.h"

namespace pointsman::proxy {

namespace {

// Calls when the last holder lets go: each worker holds one until it has done its part, or until it ends.
class WhenAllDone {
 public:
  explicit WhenAllDone(std::function<void()> then) : then_(std::move(then)) {}
  ~WhenAllDone() { then_(); }
  WhenAllDone(const WhenAllDone&) = delete;
  WhenAllDone& operator=(const WhenAllDone&) = delete;

 private:
  std::function<void()> then_;
};

// Collects the sessions of all workers.
class SessionList {
 public:
  SessionList(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done)
      : limit_(limit), done_(std::move(done)) {}
  ~SessionList() {
    std::ranges::sort(sessions_, {}, &SessionInfo::id);
    if (sessions_.size() > limit_) sessions_.resize(limit_);
    done_(std::move(sessions_));
  }
  SessionList(const SessionList&) = delete;
  SessionList& operator=(const SessionList&) = delete;

  void add(std::vector<SessionInfo> part) {
    const std::lock_guard lock(mutex_);
    std::ranges::move(part, std::back_inserter(sessions_));
  }
  std::size_t limit() const { return limit_; }

 private:
  const std::size_t limit_;
  std::function<void(std::vector<SessionInfo>)> done_;
  std::mutex mutex_;
  std::vector<SessionInfo> sessions_;
};

// Besides two for each session: files of the control loop, the monitor's connections, the workers' own.
constexpr rlim_t spare_files = 512;

unsigned thread_count(unsigned configured) {
  return configured != 0 ? configured : std::max(1u, std::thread::hardware_concurrency());
}

RoutePtr no_route() {
  auto route = std::make_shared<Route>();
  route->reason = "pointsman has just started";
  return route;
}

// As MySQL's own socket: whoever reaches it still has to log in. The directory says who reaches it.
constexpr SocketFile::Use client_socket{"client socket", "proxy.listen_unix", 0777};

// Guards the workers against a route that says where to go but not to whom.
bool usable(const RoutePtr& route) {
  if (!route) return false;
  if (route->backend && core::index(*route->backend) >= conf::max_backends) return false;
  return route->mode != Route::Mode::open || (route->backend && route->address_length > 0);
}

}  // namespace

class Workers::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)), route_(no_route()), stats_(thread_count(options_.proxy.threads)) {
    reconfigure(options_.proxy);
  }
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::expected<void, std::string> start();
  void stop();
  void set_route(RoutePtr route, std::function<void()> applied);
  core::Instant last_traffic(core::BackendId backend) const;
  SessionCounts counts() const;
  void list_sessions(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done);
  void reconfigure(const conf::Proxy& proxy);
  const std::vector<conf::HostPort>& listening() const { return listening_; }

 private:
  std::expected<void, std::string> bind_all();
  std::expected<void, std::string> bind_unix();
  void check_file_limit() const;

  Options options_;
  RoutePtr route_;
  TrustedNetworksPtr trusted_;
  Shared shared_;
  // Of fixed size from the start, so that any thread can read the counters at any time.
  std::vector<WorkerStats> stats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<conf::HostPort> listening_;
  std::vector<SocketFile> socket_files_;
};

std::expected<void, std::string> Workers::Impl::start() {
  check_file_limit();
  if (auto bound = bind_all(); !bound) {
    stop();
    return bound;
  }
  for (auto& worker : workers_) worker->run();
  return {};
}

std::expected<void, std::string> Workers::Impl::bind_all() {
  std::vector<io::Address> addresses;
  for (const auto& where : options_.proxy.listen) {
    const auto found = listen_addresses(where);
    if (!found) return std::unexpected(found.error());
    addresses.insert(addresses.end(), found->begin(), found->end());
  }
  for (const auto& address : addresses) {
    if (auto free = check_free(address); !free) return free;
  }
  for (std::size_t i = 0; i < stats_.size(); ++i) {
    auto worker =
        Worker::create(static_cast<unsigned>(i), shared_, stats_[i], route_, trusted_, options_.log);
    if (!worker) return std::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
    // The first worker's turn fills in the ports that the kernel chose; the others share them.
    for (auto& address : addresses) {
      if (auto bound = workers_.back()->listen(address); !bound) return bound;
    }
  }
  for (const auto& address : addresses) listening_.push_back(address.host_port());
  return bind_unix();
}

// SO_REUSEPORT is not for Unix sockets: the workers share one, and who is first accepts.
std::expected<void, std::string> Workers::Impl::bind_unix() {
  for (const auto& path : options_.proxy.listen_unix) {
    auto file = SocketFile::claim(path, client_socket);
    if (!file) return std::unexpected(file.error());
    const int fd = file->release();
    std::expected<void, std::string> listening;
    if (::listen(fd, listen_backlog) != 0)
      listening = std::unexpected("cannot listen on " + path + ": " + system_says(errno));
    for (std::size_t i = 0; listening && i < workers_.size(); ++i) {
      if (const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0); own >= 0) {
        listening = workers_[i]->listen(own);
      } else {
        listening = std::unexpected("cannot listen on " + path + ": " + system_says(errno));
      }
    }
    ::close(fd);
    if (!listening) return listening;
    socket_files_.push_back(std::move(*file));
  }
  return {};
}

void Workers::Impl::check_file_limit() const {
  const rlim_t wanted = rlim_t{2} * options_.proxy.max_connections + spare_files;
  const rlim_t got = raise_file_limit(wanted);
  if (got < wanted && options_.log != nullptr) {
    options_.log->warn("file limit too small", {{"wanted", static_cast<std::uint64_t>(wanted)},
                                                {"allowed", static_cast<std::uint64_t>(got)},
                                                {"max_connections", options_.proxy.max_connections},
                                                {"hint", "raise LimitNOFILE= of the service"}});
  }
}

void Workers::Impl::stop() {
  for (auto& worker : workers_) worker->stop();
  workers_.clear();
  socket_files_.clear();
  listening_.clear();
}

void Workers::Impl::set_route(RoutePtr route, std::function<void()> applied) {
  route_ = usable(route) ? std::move(route) : no_route();
  const auto acted = applied ? std::make_shared<WhenAllDone>(std::move(applied)) : nullptr;
  for (auto& worker : workers_) worker->announce(route_, acted);
}

core::Instant Workers::Impl::last_traffic(core::BackendId backend) const {
  std::int64_t last = WorkerStats::never;
  for (const auto& stats : stats_) {
    last = std::max(last, stats.last_traffic_ns[core::index(backend)].load(std::memory_order_relaxed));
  }
  return core::Instant(core::Duration(last));
}

SessionCounts Workers::Impl::counts() const {
  SessionCounts sum;
  for (const auto& stats : stats_) {
    sum.active += stats.active.get();
    sum.held += stats.held.get();
    sum.total += stats.total.get();
    sum.refused_max_connections += stats.refused_max_connections.get();
    sum.refused_max_held += stats.refused_max_held.get();
    sum.hold_timeouts += stats.hold_timeouts.get();
    for (std::size_t f = 0; f < proxy_header::fault_count; ++f)
      sum.refused_headers[f] += stats.refused_headers[f].get();
    sum.accept_pauses += stats.accept_pauses.get();
    sum.holds += stats.holds.get();
    sum.bytes_from_clients += stats.bytes_from_clients.get();
    sum.bytes_from_servers += stats.bytes_from_servers.get();
    for (std::size_t b = 0; b < conf::max_backends; ++b)
      sum.active_by_backend[b] += stats.active_by_backend[b].get();
  }
  return sum;
}

void Workers::Impl::list_sessions(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done) {
  const auto list = std::make_shared<SessionList>(limit, std::move(done));
  for (auto& worker : workers_) {
    // A worker that does not take the task contributes nothing.
    static_cast<void>(worker->post([list, w = worker.get()] {
      std::vector<SessionInfo> part;
      w->list_sessions(list->limit(), part);
      list->add(std::move(part));
    }));
  }
}

void Workers::Impl::reconfigure(const conf::Proxy& proxy) {
  auto& limits = shared_.limits;
  limits.max_connections.store(proxy.max_connections, std::memory_order_relaxed);
  limits.max_held.store(proxy.max_held, std::memory_order_relaxed);
  limits.hold_timeout_ns.store(proxy.hold_timeout.count(), std::memory_order_relaxed);
  limits.connect_timeout_ns.store(proxy.connect_timeout.count(), std::memory_order_relaxed);
  limits.proxy_header.store(proxy.proxy_protocol == conf::ProxyProtocol::v2, std::memory_order_relaxed);
  shared_.releases.set_rate(proxy.release_rate);
  options_.proxy.max_connections = proxy.max_connections;
  if (!workers_.empty()) check_file_limit();
  trusted_ = std::make_shared<TrustedNetworks>(proxy.proxy_protocol_from);
  for (auto& worker : workers_) {
    worker->trust(trusted_);
    // When it is not taken, those that are held already keep their old time.
    static_cast<void>(worker->post([w = worker.get()] { w->limits_changed(); }));
  }
}

Workers::Workers(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Workers::~Workers() = default;
std::expected<void, std::string> Workers::start() {
  return impl_->start();
}
void Workers::stop() {
  impl_->stop();
}
void Workers::set_route(RoutePtr route) {
  impl_->set_route(std::move(route), nullptr);
}
void Workers::set_route(RoutePtr route, std::function<void()> applied) {
  impl_->set_route(std::move(route), std::move(applied));
}
core::Instant Workers::last_traffic(core::BackendId backend) const {
  return impl_->last_traffic(backend);
}
SessionCounts Workers::counts() const {
  return impl_->counts();
}
void Workers::list_sessions(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done) {
  impl_->list_sessions(limit, std::move(done));
}
void Workers::reconfigure(const conf::Proxy& proxy) {
  impl_->reconfigure(proxy);
}
std::vector<conf::HostPort> Workers::listening() const {
  return impl_->listening();
}

}  // namespace pointsman::proxy
