#include "proxy/worker.h"

#include <algorithm>
#include <csignal>
#include <string_view>
#include <system_error>
#include <utility>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "proxy/mysql_packet.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

constexpr std::size_t task_limit = 256;
constexpr std::size_t wish_limit = 2;  // at most one is posted at a time
constexpr core::Duration log_interval = std::chrono::seconds(10);

// Signals are the control loop's business; and a peer that is gone is an error of a write, not a SIGPIPE.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

// To a client that is not to become a session: the kernel takes so little at once, or the client is gone.
void say_and_close(int fd, std::string_view packet) {
  static_cast<void>(::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL));
  close(fd);
}

}  // namespace

Worker::Worker(unsigned index, Shared& shared, WorkerStats& stats, RoutePtr route, TrustedNetworksPtr trusted,
               bool io_uring, io::Log* log, std::unique_ptr<io::Loop> loop, std::unique_ptr<Poller> poller)
    : index_(index),
      io_uring_(io_uring),
      shared_(shared),
      stats_(stats),
      log_(log),
      log_limiter_(log_interval),
      route_(std::move(route)),
      trusted_(std::move(trusted)),
      loop_(std::move(loop)),
      poller_(std::move(poller)),
      clock_(*poller_),
      holds_(*loop_, shared, stats.held),
      deadlines_(*loop_),
      tasks_(*loop_, task_limit),
      wishes_posted_(*loop_, wish_limit) {}

std::expected<std::unique_ptr<Worker>, std::string> Worker::create(unsigned index, Shared& shared,
                                                                   WorkerStats& stats, RoutePtr route,
                                                                   TrustedNetworksPtr trusted, bool io_uring,
                                                                   io::Log* log) {
  auto loop = std::make_unique<io::Loop>();
  auto poller = Poller::create(*loop);
  if (!poller) return std::unexpected("cannot start a worker: " + poller.error());
  std::unique_ptr<Worker> worker(new Worker(index, shared, stats, std::move(route), std::move(trusted),
                                            io_uring, log, std::move(loop), std::move(*poller)));
  worker->env_ = std::make_unique<SessionEnv>(SessionEnv{.streams = {*worker->poller_, {}},
                                                         .clock = worker->clock_,
                                                         .deadlines = worker->deadlines_,
                                                         .shared = shared,
                                                         .stats = stats,
                                                         .holds = worker->holds_,
                                                         .filter = worker->filter_,
                                                         .route = worker->route_,
                                                         .owner = *worker});
  if (worker->route_->mode == Route::Mode::open) worker->holds_.open();
  return worker;
}

Worker::~Worker() {
  stop();
}

std::expected<void, std::string> Worker::listen(unsigned id, int fd) {
  auto listener = Listener::create(*loop_, *poller_, fd, *this);
  if (!listener) return std::unexpected(listener.error());
  listeners_[id] = std::move(*listener);
  return {};
}

void Worker::listen_too(unsigned id, int fd) {
  wish([&](Wishes& w) { w.listen.emplace_back(id, io::Descriptor(fd)); });
}

void Worker::stop_listening(unsigned id) {
  wish([&](Wishes& w) { w.stop_listening.push_back(id); });
}

void Worker::run() {
  thread_ = std::thread([this] { work(); });
}

void Worker::work() {
  block_signals();
  pthread_setname_np(pthread_self(), ("worker-" + std::to_string(index_)).c_str());
  if (io_uring_) {
    if (auto ring = Ring::create()) {
      poller_->use(std::move(*ring));
    } else if (log_ != nullptr) {
      log_->warn("no_io_uring", {{"worker", index_}, {"why", ring.error()}, {"instead", "epoll"}});
    }
  }
  if (poller_->ring() == nullptr) {
    read_buffer_.resize(read_buffer_size);
    env_->streams.read_buffer = read_buffer_;
  }
  poller_->run();
}

void Worker::stop() {
  if (!thread_.joinable()) return shut_down();
  wish([](Wishes& w) { w.stop = true; });
  thread_.join();
}

void Worker::announce(RoutePtr route, std::shared_ptr<void> acted) {
  wish([&](Wishes& w) {
    w.route = std::move(route);
    if (acted) w.acted.push_back(std::move(acted));
  });
}

void Worker::when_acted(std::shared_ptr<void> acted) {
  wish([&](Wishes& w) { w.acted.push_back(std::move(acted)); });
}

void Worker::trust(TrustedNetworksPtr trusted) {
  wish([&](Wishes& w) { w.trusted = std::move(trusted); });
}

void Worker::wish(const std::function<void(Wishes&)>& change) {
  {
    const std::lock_guard lock(wishes_mutex_);
    change(wishes_);
    if (std::exchange(wishes_.announced, true)) return;
  }
  // Refused only by a worker that has shut down, where nothing is left to act on.
  static_cast<void>(wishes_posted_.post([this] { grant(); }));
}

void Worker::grant() {
  Wishes wishes;
  {
    const std::lock_guard lock(wishes_mutex_);
    wishes = std::exchange(wishes_, {});
  }
  if (wishes.trusted) trusted_ = std::move(wishes.trusted);
  for (auto& [id, socket] : wishes.listen) {
    const auto listening = listen(id, socket.release());
    if (!listening && log_ != nullptr) log_->error("not listening", {{"why", listening.error()}});
  }
  for (const unsigned id : wishes.stop_listening) {
    if (const auto listener = listeners_.extract(id); listener) listener.mapped()->accept_rest();
  }
  if (wishes.route) {
    route_ = std::move(wishes.route);
    apply_route();
    poller_->submit();  // whoever is told that it was acted on relies on the ends of those sessions
  }
  if (wishes.stop) shut_down();
}

void Worker::apply_route() {
  // From the back: a session that ends gives its slot to the last one, which has been visited.
  for (std::size_t i = sessions_.size(); i-- > 0;) sessions_[i]->route_changed();
  if (route_->mode == Route::Mode::open) {
    holds_.open();
  } else {
    holds_.shut();
  }
}

void Worker::shut_down() {
  listeners_.clear();
  holds_.shut();
  while (!introductions_.empty()) end(*introductions_.begin()->second);
  for (std::size_t i = sessions_.size(); i-- > 0;) sessions_[i]->end_now();
  tasks_.close();
  wishes_posted_.close();
  poller_->stop();
}

void Worker::on_accept(int fd, const io::Address& peer) {
  stats_.total.add(1);
  const unsigned limit = shared_.limits.max_connections.load(std::memory_order_relaxed);
  if (shared_.connections.fetch_add(1, std::memory_order_relaxed) >= limit) {
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
    stats_.refused_max_connections.add(1);
    const auto packet = mysql_packet::initial_error(
        mysql_packet::too_many_connections,
        "Too many connections (pointsman: max_connections = " + std::to_string(limit) + ")");
    return say_and_close(fd, packet);
  }
  const auto id = shared_.next_session_id.fetch_add(1, std::memory_order_relaxed);
  if (!trusted_->contain(peer)) return begin_session(fd, id, io::now(), peer);
  auto introduction = Introduction::begin(*loop_, fd, id, io::now(), peer, *this);
  if (introduction) {
    introductions_.emplace(id, std::move(*introduction));
  } else {
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Worker::begin_session(int fd, std::uint64_t id, core::Instant accepted, const io::Address& client) {
  auto session = std::make_unique<Session>(*env_, id, accepted, client);
  session->slot = sessions_.size();
  sessions_.push_back(std::move(session));
  sessions_.back()->start(fd);
}

void Worker::on_introduced(Introduction& introduction, const io::Address& client) {
  // Its descriptor is free of the introduction's watch, and it counts on as the session that it becomes.
  const auto done = introductions_.extract(introduction.id());
  begin_session(introduction.release(), introduction.id(), introduction.accepted(), client);
  loop_->defer_delete(std::move(done.mapped()));
}

void Worker::on_not_introduced(Introduction& introduction, proxy_header::Fault fault) {
  stats_.refused_headers[index(fault)].add(1);
  header_refused(introduction.peer(), fault);
  say_and_close(introduction.release(),
                mysql_packet::initial_error(mysql_packet::bad_handshake,
                                            std::string("pointsman: ") + proxy_header::to_string(fault)));
  end(introduction);
}

void Worker::on_gone(Introduction& introduction) {
  end(introduction);
}

void Worker::end(Introduction& introduction) {
  if (const int fd = introduction.release(); fd >= 0) close(fd);
  auto ended = introductions_.extract(introduction.id());
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  loop_->defer_delete(std::move(ended.mapped()));
}

void Worker::on_accept_paused(int error) {
  stats_.accept_pauses.add(1);
  if (log_ == nullptr) return;
  if (const auto held_back = log_limiter_.pass("accept", io::now())) {
    log_->error("accept paused", {{"worker", index_},
                                  {"why", std::generic_category().message(error)},
                                  {"sessions", sessions_.size()},
                                  {"suppressed", *held_back}});
  }
}

void Worker::session_ended(Session& session) {
  const std::size_t slot = session.slot;
  std::swap(sessions_[slot], sessions_.back());
  sessions_[slot]->slot = slot;
  poller_->defer_delete(std::move(sessions_.back()));
  sessions_.pop_back();
}

void Worker::header_refused(const io::Address& peer, proxy_header::Fault fault) {
  if (log_ == nullptr) return;
  if (const auto held_back = log_limiter_.pass(proxy_header::to_string(fault), io::now())) {
    log_->warn(
        "header_refused",
        {{"client", peer.to_string()}, {"why", proxy_header::to_string(fault)}, {"suppressed", *held_back}});
  }
}

void Worker::list_sessions(std::size_t limit, std::vector<SessionInfo>& out) const {
  const auto now = io::now();
  for (std::size_t i = 0; i < std::min(limit, sessions_.size()); ++i) {
    out.push_back(sessions_[i]->info(now));
    out.back().worker = index_;
  }
}

}  // namespace pointsman::proxy
