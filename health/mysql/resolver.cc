#include "health/mysql/resolver.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "health/mysql/poll_until.h"

namespace pointsman::mysql {
namespace {

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

// Shared with the lookup's thread, which may outlive the resolver.
struct Resolver::Lookup {
  Waker finished;
  std::mutex mutex;
  bool done = false;
  std::string error;
  std::vector<std::string> addresses;

  void run(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    std::vector<std::string> found;
    for (const addrinfo* entry = code == 0 ? list : nullptr; entry != nullptr; entry = entry->ai_next) {
      std::array<char, NI_MAXHOST> text{};
      if (getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) != 0)
        continue;
      if (found.size() < max_addresses && std::ranges::find(found, text.data()) == found.end())
        found.emplace_back(text.data());
    }
    if (list != nullptr) freeaddrinfo(list);
    const std::lock_guard lock(mutex);
    done = true;
    addresses = std::move(found);
    if (addresses.empty()) error = code != 0 ? gai_strerror(code) : "no usable address";
    finished.ring();
  }
};

Resolver::Resolver(std::string host) : host_(std::move(host)) {
  if (is_numeric(host_)) last_ = {host_};
}

Resolver::~Resolver() = default;

std::expected<std::vector<std::string>, core::Failure> Resolver::resolve(core::Instant deadline,
                                                                         const Waker& interrupt) {
  if (last_.size() == 1 && last_.front() == host_) return last_;
  if (!lookup_) {
    lookup_ = std::make_shared<Lookup>();
    try {
      std::thread([lookup = lookup_, host = host_] { lookup->run(host); }).detach();
    } catch (const std::system_error& error) {
      lookup_.reset();
      return std::unexpected(core::Failure{core::FailureKind::unreachable, 0,
                                           "look up " + host_ + ": no thread: " + error.what()});
    }
  }
  std::array<pollfd, 2> fds{{{lookup_->finished.fd(), POLLIN, 0}, {interrupt.fd(), POLLIN, 0}}};
  poll_until(fds, deadline);

  std::string error = "no answer in time";
  {
    const std::lock_guard lock(lookup_->mutex);
    if (lookup_->done) {
      if (!lookup_->addresses.empty()) last_ = lookup_->addresses;
      error = lookup_->error;
    }
  }
  if (error != "no answer in time") lookup_.reset();
  if (!last_.empty()) return last_;
  return std::unexpected(core::Failure{core::FailureKind::unreachable, 0, "look up " + host_ + ": " + error});
}

}  // namespace pointsman::mysql
