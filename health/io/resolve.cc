#include "health/io/resolve.h"

#include <memory>
#include <utility>

#include <netdb.h>

namespace pointsman::io {

struct Resolver::Request {
  uv_getaddrinfo_t req{};
  Resolver* owner = nullptr;  // null: abandoned
  std::string host;
};

namespace {

std::vector<Address> addresses_in(const addrinfo* list) {
  std::vector<Address> found;
  for (; list != nullptr && found.size() < Resolver::max_addresses; list = list->ai_next) {
    if (list->ai_family != AF_INET && list->ai_family != AF_INET6) continue;
    found.push_back(Address::from(list->ai_addr, list->ai_addrlen));
  }
  return found;
}

std::string failure(const std::string& host, const char* why) {
  return "cannot resolve " + host + ": " + why;
}

}  // namespace

Resolver::Resolver(Loop& loop, std::function<void(Result)> on_result)
    : loop_(loop), on_result_(std::move(on_result)) {}

Resolver::~Resolver() {
  cancel();
}

void Resolver::start(const conf::HostPort& where) {
  cancel();
  if (const auto numeric = Address::numeric(where)) return deliver(std::vector{*numeric});

  auto request = std::make_unique<Request>();
  request->owner = this;
  request->host = where.host;
  request->req.data = request.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  const auto on_done = [](uv_getaddrinfo_t* req, int status, addrinfo* list) {
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed(list, &uv_freeaddrinfo);
    const std::unique_ptr<Request> self(static_cast<Request*>(req->data));
    if (self->owner == nullptr) return;
    self->owner->request_ = nullptr;
    if (status != 0) return self->owner->deliver(std::unexpected(failure(self->host, uv_strerror(status))));
    auto found = addresses_in(list);
    if (found.empty())
      return self->owner->deliver(std::unexpected(failure(self->host, "no IPv4 or IPv6 address")));
    self->owner->deliver(std::move(found));
  };
  const int status = uv_getaddrinfo(loop_.raw(), &request->req, on_done, where.host.c_str(),
                                    std::to_string(where.port).c_str(), &hints);
  if (status != 0) return deliver(std::unexpected(failure(where.host, uv_strerror(status))));
  request_ = request.release();
}

void Resolver::cancel() {
  if (request_ == nullptr) return;
  request_->owner = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(&request_->req));
  request_ = nullptr;
}

void Resolver::deliver(Result result) {
  auto callback = on_result_;  // a copy: the callback may destroy the object
  callback(std::move(result));
}

}  // namespace pointsman::io
