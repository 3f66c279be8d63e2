#include "health/io/connect_check.h"

#include <memory>
#include <utility>

#include "health/io/clock.h"

namespace pointsman::io {

namespace {

ConnectCheck::Outcome outcome_of(int status) {
  switch (status) {
    case 0:
      return ConnectCheck::Outcome::accepted;
    case UV_ECONNREFUSED:
      return ConnectCheck::Outcome::refused;
    case UV_ETIMEDOUT:
      return ConnectCheck::Outcome::timed_out;
    default:
      return ConnectCheck::Outcome::failed;
  }
}

}  // namespace

const char* to_string(ConnectCheck::Outcome outcome) {
  switch (outcome) {
    case ConnectCheck::Outcome::accepted:
      return "accepted";
    case ConnectCheck::Outcome::refused:
      return "refused";
    case ConnectCheck::Outcome::timed_out:
      return "timed out";
    case ConnectCheck::Outcome::failed:
      return "failed";
  }
  return "?";
}

ConnectCheck::ConnectCheck(Loop& loop, std::function<void(const Result&)> on_result)
    : loop_(loop),
      on_result_(std::move(on_result)),
      timeout_(loop, [this] { finish(failed_at_once_ != 0 ? failed_at_once_ : UV_ETIMEDOUT); }) {}

void ConnectCheck::start(const Address& to, core::Duration timeout) {
  cancel();
  started_ = now();
  failed_at_once_ = 0;
  auto made = make_handle<uv_tcp_t>(this, [&](uv_tcp_t* h) { return uv_tcp_init(loop_.raw(), h); });
  int status = made ? 0 : made.error();
  if (made) {
    connecting_ = std::move(*made);
    auto request = std::make_unique<uv_connect_t>();
    status = uv_tcp_connect(request.get(), connecting_.get(), to.get(), [](uv_connect_t* req, int result) {
      const std::unique_ptr<uv_connect_t> freed(req);
      auto* self = static_cast<ConnectCheck*>(req->handle->data);
      if (self != nullptr) self->finish(result);
    });
    if (status == 0) static_cast<void>(request.release());  // libuv calls back, also after a close
  }
  if (status != 0) failed_at_once_ = status;
  timeout_.start_after(status != 0 ? core::Duration::zero() : timeout);
}

void ConnectCheck::cancel() {
  timeout_.stop();
  connecting_.reset();
}

void ConnectCheck::finish(int status) {
  cancel();
  const Result result{outcome_of(status), status == 0 ? "" : uv_strerror(status), now() - started_};
  auto callback = on_result_;  // a copy: the callback may destroy the object
  callback(result);
}

}  // namespace pointsman::io
