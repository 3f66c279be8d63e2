#include "proxy/metrics_endpoint.h"

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>
#include <utility>

#include <prometheus/exposer.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/address.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

// Threads that are made while this lives take no signals: those are the control loop's business.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

constexpr std::chrono::milliseconds between_visits{2};

// Connects, and leaves without waiting for anything.
void visit(const io::Address& where) {
  const int fd = ::socket(where.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  static_cast<void>(::connect(fd, where.get(), where.length));
  ::close(fd);
}

// Of civetweb, name and value by turns (its UserManual.md).
std::vector<std::string> options(const std::string& ports) {
  std::vector<std::string> list{"listening_ports", ports};
  const auto add = [&](const char* name, int value) {
    list.emplace_back(name);
    list.push_back(std::to_string(value));
  };
  add("num_threads", MetricsEndpoint::threads);
  add("connection_queue", MetricsEndpoint::waiting);
  add("listen_backlog", MetricsEndpoint::backlog);
  add("request_timeout_ms", MetricsEndpoint::request_timeout);
  add("max_request_size", MetricsEndpoint::longest_request);
  return list;
}

}  // namespace

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, io::Address bound,
                                 std::string url)
    : exposer_(std::move(exposer)), bound_(bound), url_(std::move(url)) {}

MetricsEndpoint::~MetricsEndpoint() {
  // The library's listening thread looks only every 2 s, or when a client comes, whether it shall end. A
  // restart of the daemon is not to take that long: so clients come.
  const SignalsBlocked blocked;
  const std::jthread visitor([this](const std::stop_token& closed) {
    while (!closed.stop_requested()) {
      visit(bound_);
      std::this_thread::sleep_for(between_visits);
    }
  });
  exposer_.reset();
}

std::expected<std::unique_ptr<MetricsEndpoint>, std::string> MetricsEndpoint::open(
    const std::string& address, const std::shared_ptr<prometheus::Collectable>& what) {
  const auto where = conf::parse_address(address);
  if (!where) return std::unexpected("\"" + address + "\": " + where.error());
  const auto found = listen_addresses(*where);
  if (!found) return std::unexpected(found.error());
  std::string ports;
  for (const io::Address& one : *found) {
    // The library does not say why it cannot listen.
    if (auto free = check_free(one); !free) return std::unexpected(free.error());
    ports += (ports.empty() ? "" : ",") + one.to_string();
  }
  const SignalsBlocked blocked;
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(options(ports));
    exposer->RegisterCollectable(what);
    const auto bound = exposer->GetListeningPorts();
    io::Address first = found->front();
    if (!bound.empty()) first.set_port(static_cast<std::uint16_t>(bound.front()));
    const conf::HostPort shown{where->host, first.port()};
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::move(exposer), first, "http://" + conf::to_string(shown) + "/metrics"));
  } catch (const std::exception& error) {
    return std::unexpected("cannot listen on " + address + ": " + error.what());
  }
}

void lower_priority_of_this_thread() {
  constexpr int nice = 10;
  thread_local bool lowered = false;
  // On Linux a thread has a priority of its own, and may always lower it.
  if (!std::exchange(lowered, true))
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice));
}

}  // namespace pointsman::proxy
