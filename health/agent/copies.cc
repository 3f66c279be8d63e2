#include "health/agent/copies.h"

#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "conf/address.h"
#include "conf/authkeys.h"
#include "health/agent/copy_donor.h"
#include "health/agent/copy_facts.h"
#include "health/agent/copy_recipient.h"
#include "health/io/descriptor.h"
#include "health/io/system_text.h"
#include "health/mysql/concat.h"

namespace pointsman::agent {

using copy::Channel;
using copy::Words;
using mysql::concat;

namespace {

constexpr core::Duration order_time = std::chrono::seconds(10);
constexpr core::Duration answer_time = std::chrono::seconds(10);
constexpr std::chrono::seconds busy_patience(3);
constexpr int lock_look_ms = 1000;
constexpr int backlog = 16;

std::string text_of(const sockaddr* address, socklen_t size) {
  std::array<char, 64> host{};
  if (::getnameinfo(address, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  return host.data();
}

// False: it rang.
bool pause(const mysql::Waker& stop, int ms) {
  pollfd bell{stop.fd(), POLLIN, 0};
  return ::poll(&bell, 1, ms) == 0;
}

}  // namespace

Copies::Copies(const conf::AgentConfig& config, io::Log& log, const mysql::Waker& stop)
    : config_(config), log_(log), stop_(stop) {}

// Shared with the programs that work on a copy: when this process is killed they may live on for a while, and
// nobody takes away under them what they work on.
Copies::Outcome Copies::lock() {
  const std::string& folder = config_.copy.state_dir;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(concat("cannot create copy.state_dir ", folder, ": ", io::system_text(errno)));
  const std::string path = folder + "/copies.lock";
  lock_ = io::Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return std::unexpected(concat("cannot open ", path, ": ", io::system_text(errno)));
  for (bool told = false; ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0; told = true) {
    if (errno != EWOULDBLOCK) return std::unexpected(concat(path, ": ", io::system_text(errno)));
    if (!told) {
      log_.warn("waiting",
                {{"why", "another one runs, or a program of a copy that was broken off"}, {"file", path}});
    }
    if (!pause(stop_, lock_look_ms)) return {};
  }
  return {};
}

Copies::Outcome Copies::recover() {
  auto found = CopyRecipient(config_, lock_.get(), stop_).recover();
  if (!found) return std::unexpected("what an earlier copy left cannot be put right: " + found.error());
  if (!found->empty()) log_.warn("recovered", {{"text", *found}});
  return {};
}

Copies::Outcome Copies::listen() {
  const auto where = conf::parse_address(config_.copy.listen);
  if (!where) return std::unexpected("copy.listen: " + where.error());
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(where->host.c_str(), std::to_string(where->port).c_str(), &hints, &found);
  if (status != 0) return std::unexpected(concat(config_.copy.listen, ": ", ::gai_strerror(status)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
  listener_ = io::Descriptor(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener_.get(), list->ai_addr, list->ai_addrlen) != 0 ||
      ::listen(listener_.get(), backlog) != 0)
    return std::unexpected(
        concat("cannot listen on ", config_.copy.listen, " (tcp): ", io::system_text(errno)));
  return {};
}

std::expected<void, std::string> Copies::run(const std::function<void()>& ready) {
  if (auto locked = lock(); !locked) return locked;
  if (!pause(stop_, 0)) return {};
  if (auto recovered = recover(); !recovered) return recovered;
  if (auto listening = listen(); !listening) return listening;
  log_.info("listening", {{"address", config_.copy.listen}, {"for", "copies"}});
  ready();
  while (true) {
    std::array<pollfd, 2> fds{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_.fd(), POLLIN, 0}};
    constexpr int sweep_ms = 1000;
    ::poll(fds.data(), fds.size(), sweep_ms);
    sweep();
    if (fds[1].revents != 0) break;
    if (fds[0].revents != 0) accept();
  }
  for (Served& served : served_) served.thread.join();
  return {};
}

void Copies::sweep() {
  for (auto at = served_.begin(); at != served_.end();) {
    if (!at->ended) {
      ++at;
      continue;
    }
    at->thread.join();
    at = served_.erase(at);
  }
}

void Copies::accept() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  auto* address = reinterpret_cast<sockaddr*>(&peer);
  io::Descriptor connection(::accept4(listener_.get(), address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // Too many: closed without a word. Strangers hold a place for no longer than a handshake may take.
  if (!connection || served_.size() >= max_connections) return;
  Served& served = served_.emplace_back();
  served.thread = std::thread(
      [this, &served, connection = std::move(connection), from = text_of(address, size)]() mutable {
        try {
          serve(std::move(connection), from);
        } catch (const std::exception& error) {
          log_.error("internal_error", {{"why", error.what()}});
        }
        served.ended = true;
      });
}

void Copies::serve(io::Descriptor connection, const std::string& from) {
  // Read each time: a new key counts from now on.
  const auto keys = conf::load_authkeys(config_.heartbeat.authkeys);
  if (!keys) {
    log_.error("keys_refused", {{"why", conf::to_string(keys.error().front())}});
    return;
  }
  auto channel = Channel::accept(std::move(connection), *keys, stop_);
  if (!channel) {
    log_.warn("refused", {{"from", from}, {"why", channel.error()}});
    return;
  }
  const auto order = channel->receive_words(order_time);
  if (!order) {
    log_.warn("refused", {{"from", from}, {"why", order.error()}});
    return;
  }
  answer(*channel, *order, from);
}

// Who was just given up takes a moment to end.
std::string Copies::busy_with(const std::string& next) {
  std::unique_lock lock(mutex_);
  freed_.wait_for(lock, busy_patience, [this] { return busy_.empty(); });
  if (busy_.empty()) {
    busy_ = next;
    return "";
  }
  return busy_;
}

void Copies::answer(Channel& channel, const Words& order, const std::string& from) {
  if (order.verb == "look") {
    Words facts = copy_facts(config_, order);
    facts.values["busy"] = busy_with();
    (void)channel.send(facts, answer_time);
    return;
  }
  const bool sends = order.verb == "donor";
  if (!sends && order.verb != "recipient") {
    (void)channel.send({.verb = "failed", .values = {{"why", "it does not know the order " + order.verb}}},
                       answer_time);
    return;
  }
  const std::string what = concat(sends ? "sends its data to " : "gets data through ", from);
  if (const std::string other = busy_with(what); !other.empty()) {
    (void)channel.send({.verb = "failed", .values = {{"why", "it is at work already: " + other}}},
                       answer_time);
    return;
  }
  struct Free {
    ~Free() {
      const std::lock_guard lock(copies.mutex_);
      copies.busy_.clear();
      copies.freed_.notify_all();
    }
    Copies& copies;
  } const free{*this};
  log_.info("copy_begun", {{"what", what}});
  Outcome done;
  if (sends) {
    const auto bytes = send_copy(config_, channel, order, stop_);
    if (!bytes) done = std::unexpected(bytes.error());
  } else {
    done = CopyRecipient(config_, lock_.get(), stop_).receive(channel, order);
  }
  if (done) {
    log_.info("copy_done", {{"what", what}});
  } else {
    log_.error("copy_failed", {{"what", what}, {"why", done.error()}});
  }
}

}  // namespace pointsman::agent
