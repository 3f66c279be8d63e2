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
#include "proxy/sockets.h"
#include "proxy/trusted_networks.h"
#include "proxy/when_all_done.h"
#include "proxy/worker.h"

namespace pointsman::proxy {

namespace {

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

template <class List, class Value>
bool contains(const List& list, const Value& value) {
  return std::ranges::find(list, value) != list.end();
}

RoutePtr no_route() {
  auto route = std::make_shared<Route>();
  route->reason = "pointsman has just started";
  return route;
}

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

  std::expected<void, std::string> bind(std::vector<ServiceSocket>& given);
  std::expected<void, std::string> run();
  std::expected<void, std::string> relisten(const conf::Proxy& proxy);
  void stop_accepting();
  std::span<const ServiceSocket> sockets() const { return sockets_; }
  void keep_files(bool kept);
  void stop();
  void set_route(RoutePtr route, std::function<void()> applied);
  void when_acted(std::function<void()> acted);
  const RoutePtr& route() const { return route_; }
  core::Instant last_traffic(core::BackendId backend) const;
  SessionCounts counts() const;
  void list_sessions(std::size_t limit, std::function<void(std::vector<SessionInfo>)> done);
  void reconfigure(const conf::Proxy& proxy);
  std::vector<conf::HostPort> listening() const;

 private:
  // What a worker is given of a socket: its number there, and a descriptor of its own.
  struct Share {
    std::size_t worker;
    unsigned id;
    io::Descriptor descriptor;
  };

  std::expected<std::vector<Share>, std::string> shares(std::span<const ServiceSocket> sockets,
                                                        unsigned first_id) const;
  void check_file_limit() const;

  Options options_;
  RoutePtr route_;
  TrustedNetworksPtr trusted_;
  Shared shared_;
  // Of fixed size from the start, so that any thread can read the counters at any time.
  std::vector<WorkerStats> stats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<ServiceSocket> sockets_;
  std::vector<unsigned> ids_;  // of each of them, for the workers
  unsigned next_id_ = 0;
};

std::expected<void, std::string> Workers::Impl::bind(std::vector<ServiceSocket>& given) {
  check_file_limit();
  const auto make = [&]() -> std::expected<void, std::string> {
    auto found = service_sockets(options_.proxy, stats_.size(), given);
    if (!found) return std::unexpected(found.error());
    sockets_ = std::move(*found);
    for (std::size_t i = 0; i < stats_.size(); ++i) {
      auto worker = Worker::create(static_cast<unsigned>(i), shared_, stats_[i], route_, trusted_,
                                   options_.proxy.io_uring, options_.log);
      if (!worker) return std::unexpected(worker.error());
      workers_.push_back(std::move(*worker));
    }
    auto dealt = shares(sockets_, next_id_);
    if (!dealt) return std::unexpected(dealt.error());
    for (auto& [worker, id, descriptor] : *dealt) {
      if (auto listening = workers_[worker]->listen(id, descriptor.release()); !listening) return listening;
    }
    for (std::size_t i = 0; i < sockets_.size(); ++i) ids_.push_back(next_id_++);
    return {};
  };
  auto made = make();
  if (!made) stop();
  return made;
}

std::expected<void, std::string> Workers::Impl::run() {
  for (auto& socket : sockets_) {
    if (auto listening = socket.listen(); !listening) {
      stop();
      return listening;
    }
  }
  for (auto& worker : workers_) worker->run();
  return {};
}

// Those of one address go round the workers, so that with as many sockets as workers each has its own.
std::expected<std::vector<Workers::Impl::Share>, std::string> Workers::Impl::shares(
    std::span<const ServiceSocket> sockets, unsigned first_id) const {
  std::vector<Share> list;
  std::size_t turn = 0;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const bool another =
        i > 0 && (sockets[i].entry != sockets[i - 1].entry || sockets[i].where() != sockets[i - 1].where());
    if (another) turn = 0;
    const std::size_t begin = sockets[i].shared ? 0 : turn++ % workers_.size();
    const std::size_t end = sockets[i].shared ? workers_.size() : begin + 1;
    for (std::size_t worker = begin; worker < end; ++worker) {
      io::Descriptor own(fcntl(sockets[i].socket.get(), F_DUPFD_CLOEXEC, 0));
      if (!own) return std::unexpected("cannot listen on " + sockets[i].where() + ": " + system_says(errno));
      list.push_back({worker, first_id + static_cast<unsigned>(i), std::move(own)});
    }
  }
  return list;
}

std::expected<void, std::string> Workers::Impl::relisten(const conf::Proxy& proxy) {
  const auto wanted = [&](const ServiceSocket& socket) {
    return socket.is_unix() ? contains(proxy.listen_unix, socket.entry)
                            : std::ranges::find(proxy.listen, socket.entry, entry_of) != proxy.listen.end();
  };
  const auto have = [&](const std::string& entry, bool is_unix) {
    return std::ranges::any_of(sockets_, [&](const ServiceSocket& socket) {
      return socket.entry == entry && socket.is_unix() == is_unix;
    });
  };
  conf::Proxy missing = proxy;
  std::erase_if(missing.listen, [&](const auto& where) { return have(entry_of(where), false); });
  std::erase_if(missing.listen_unix, [&](const auto& path) { return have(path, true); });
  std::vector<ServiceSocket> nothing_given;
  auto added = service_sockets(missing, workers_.size(), nothing_given, true);
  if (!added) return std::unexpected(added.error());
  auto dealt = shares(*added, next_id_);
  if (!dealt) return std::unexpected(dealt.error());
  for (auto& socket : *added) {
    if (auto listening = socket.listen(); !listening) return listening;
  }

  for (auto& [worker, id, descriptor] : *dealt) workers_[worker]->listen_too(id, descriptor.release());
  std::vector<ServiceSocket> kept;
  std::vector<unsigned> kept_ids;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (wanted(sockets_[i])) {
      kept.push_back(std::move(sockets_[i]));
      kept_ids.push_back(ids_[i]);
    } else {
      for (auto& worker : workers_) worker->stop_listening(ids_[i]);
    }
  }
  for (auto& socket : *added) {
    kept.push_back(std::move(socket));
    kept_ids.push_back(next_id_++);
  }
  sockets_ = std::move(kept);
  ids_ = std::move(kept_ids);
  options_.proxy.listen = proxy.listen;
  options_.proxy.listen_unix = proxy.listen_unix;
  return {};
}

void Workers::Impl::stop_accepting() {
  sockets_.clear();  // the workers have descriptors of their own
  for (const unsigned id : std::exchange(ids_, {})) {
    for (auto& worker : workers_) worker->stop_listening(id);
  }
}

void Workers::Impl::keep_files(bool kept) {
  for (auto& socket : sockets_) {
    if (socket.file) socket.file->keep(kept);
  }
}

std::vector<conf::HostPort> Workers::Impl::listening() const {
  std::vector<conf::HostPort> list;
  for (const auto& socket : sockets_) {
    const auto where = socket.address.host_port();
    if (!socket.is_unix() && !contains(list, where)) list.push_back(where);
  }
  return list;
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
  sockets_.clear();
  ids_.clear();
}

void Workers::Impl::set_route(RoutePtr route, std::function<void()> applied) {
  route_ = usable(route) ? std::move(route) : no_route();
  const auto acted = applied ? std::make_shared<WhenAllDone>(std::move(applied)) : nullptr;
  for (auto& worker : workers_) worker->announce(route_, acted);
}

void Workers::Impl::when_acted(std::function<void()> acted) {
  const auto all = std::make_shared<WhenAllDone>(std::move(acted));
  for (auto& worker : workers_) worker->when_acted(all);
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
  sum.open = shared_.connections.load(std::memory_order_relaxed);
  for (const auto& stats : stats_) {
    sum.active += stats.active.get();
    sum.held += stats.held.get();
    sum.total += stats.total.get();
    sum.refused_max_connections += stats.refused_max_connections.get();
    sum.refused_max_held += stats.refused_max_held.get();
    sum.hold_timeouts += stats.hold_timeouts.get();
    for (std::size_t f = 0; f < proxy_header::fault_count; ++f)
      sum.refused_headers[f] += stats.refused_headers[f].get();
    for (std::size_t e = 0; e < session_ends; ++e) sum.ended[e] += stats.ended[e].get();
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
  limits.login_timeout_ns.store(proxy.login_timeout.count(), std::memory_order_relaxed);
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
std::expected<void, std::string> Workers::bind(std::vector<ServiceSocket>& given) {
  return impl_->bind(given);
}
std::expected<void, std::string> Workers::run() {
  return impl_->run();
}
std::expected<void, std::string> Workers::start() {
  std::vector<ServiceSocket> nothing_given;
  auto bound = bind(nothing_given);
  return bound ? run() : bound;
}
std::expected<void, std::string> Workers::relisten(const conf::Proxy& proxy) {
  return impl_->relisten(proxy);
}
void Workers::stop_accepting() {
  impl_->stop_accepting();
}
std::span<const ServiceSocket> Workers::sockets() const {
  return impl_->sockets();
}
void Workers::keep_files(bool kept) {
  impl_->keep_files(kept);
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
void Workers::when_acted(std::function<void()> acted) {
  impl_->when_acted(std::move(acted));
}
RoutePtr Workers::route() const {
  return impl_->route();
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
