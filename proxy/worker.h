#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "health/io/address.h"
#include "health/io/descriptor.h"
#include "health/io/log.h"
#include "health/io/log_limiter.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "proxy/chunk_filter.h"
#include "proxy/deadlines.h"
#include "proxy/hold_queue.h"
#include "proxy/introduction.h"
#include "proxy/listener.h"
#include "proxy/loop_clock.h"
#include "proxy/poller.h"
#include "proxy/session.h"
#include "proxy/session_env.h"
#include "proxy/shared_state.h"
#include "proxy/trusted_networks.h"

namespace pointsman::proxy {

// One worker: a thread with its loop, its listeners and its sessions. Owned by Workers; what is not marked
// otherwise is called on the control loop's thread.
class Worker final : private SessionOwner, private Listener::Events, private Introduction::Events {
 public:
  // Bytes that one read takes at most, and so the most that a session can have in store per direction.
  static constexpr std::size_t read_buffer_size = std::size_t{256} * 1024;

  static std::expected<std::unique_ptr<Worker>, std::string> create(unsigned index, Shared& shared,
                                                                    WorkerStats& stats, RoutePtr route,
                                                                    TrustedNetworksPtr trusted, bool io_uring,
                                                                    io::Log* log);
  ~Worker();  // stops
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before run(). A listening socket that the worker takes over, also on an error; `id` is the caller's.
  std::expected<void, std::string> listen(unsigned id, int fd);
  // The same while it runs; what goes wrong is logged.
  void listen_too(unsigned id, int fd);
  // Accepts who waits there already, then closes it. Later than every listen_too() before.
  void stop_listening(unsigned id);
  void run();
  // Closes everything and joins the thread.
  void stop();

  // Acted on in the loop's next iteration; `acted` is released afterwards, on the worker's thread (or when it
  // stops). Of several changes only the last is seen.
  void announce(RoutePtr route, std::shared_ptr<void> acted);
  // Releases it likewise when everything is done that was told before.
  void when_acted(std::shared_ptr<void> acted);
  // Of connections that come from now on.
  void trust(TrustedNetworksPtr trusted);
  // Any thread. False: the worker is stopping or flooded, and `task` was not taken.
  bool post(std::function<void()> task) { return tasks_.post(std::move(task)); }

  // Worker's thread.
  void list_sessions(std::size_t limit, std::vector<SessionInfo>& out) const;
  void limits_changed() { holds_.limits_changed(); }

 private:
  // What the control loop wants, at most one of each, so that it can never be lost to a full queue.
  struct Wishes {
    RoutePtr route;
    TrustedNetworksPtr trusted;
    std::vector<std::pair<unsigned, io::Descriptor>> listen;
    std::vector<unsigned> stop_listening;
    std::vector<std::shared_ptr<void>> acted;  // released when all of this is granted
    bool stop = false;
    bool announced = false;
  };

  Worker(unsigned index, Shared& shared, WorkerStats& stats, RoutePtr route, TrustedNetworksPtr trusted,
         bool io_uring, io::Log* log, std::unique_ptr<io::Loop> loop, std::unique_ptr<Poller> poller);

  void work();
  void wish(const std::function<void(Wishes&)>& change);
  void grant();
  void apply_route();
  void shut_down();

  void on_accept(int fd, const io::Address& peer) override;
  void on_accept_paused(int error) override;
  void on_introduced(Introduction& introduction, const io::Address& client) override;
  void on_not_introduced(Introduction& introduction, proxy_header::Fault fault) override;
  void on_gone(Introduction& introduction) override;
  void end(Introduction& introduction);
  void begin_session(int fd, std::uint64_t id, core::Instant accepted, const io::Address& client);
  void session_ended(Session& session) override;
  void header_refused(const io::Address& peer, proxy_header::Fault fault) override;

  const unsigned index_;
  const bool io_uring_;
  Shared& shared_;
  WorkerStats& stats_;
  io::Log* log_;
  io::LogLimiter log_limiter_;
  RoutePtr route_;
  TrustedNetworksPtr trusted_;

  std::unique_ptr<io::Loop> loop_;  // before everything that has handles on it
  std::unique_ptr<Poller> poller_;
  std::vector<char> read_buffer_;  // none: the streams go by a ring
  LoopClock clock_;
  PassThrough filter_;
  HoldQueue holds_;
  Deadlines deadlines_;
  std::unique_ptr<SessionEnv> env_;
  std::map<unsigned, std::unique_ptr<Listener>> listeners_;
  std::map<std::uint64_t, std::unique_ptr<Introduction>> introductions_;  // by the session's id
  std::vector<std::unique_ptr<Session>> sessions_;

  io::Mailbox tasks_;
  io::Mailbox wishes_posted_;
  std::mutex wishes_mutex_;
  Wishes wishes_;  // under the mutex
  std::thread thread_;
};

}  // namespace pointsman::proxy
