#include "health/io/background.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace pointsman::io {

// Shared by the owner and its requests, which may come home after the owner is gone. Loop's thread only.
struct Background::State {
  bool owner_alive = true;
  std::vector<Request*> pending;
};

struct Background::Request {
  uv_work_t req{};
  std::shared_ptr<State> state;
  std::function<void()> work;
  std::function<void()> done;

  static void run(uv_work_t* req) { static_cast<Request*>(req->data)->work(); }

  static void finish(uv_work_t* req, int status) {
    const std::unique_ptr<Request> self(static_cast<Request*>(req->data));
    std::erase(self->state->pending, self.get());
    if (status == 0 && self->state->owner_alive) self->done();
  }
};

Background::Background(Loop& loop, std::size_t limit)
    : loop_(loop), limit_(limit), state_(std::make_shared<State>()) {}

Background::~Background() {
  state_->owner_alive = false;
  for (Request* request : state_->pending) uv_cancel(reinterpret_cast<uv_req_t*>(&request->req));
}

bool Background::submit(std::function<void()> work, std::function<void()> done) {
  if (state_->pending.size() >= limit_) return false;
  auto request = std::make_unique<Request>();
  request->req.data = request.get();
  request->state = state_;
  request->work = std::move(work);
  request->done = std::move(done);
  if (uv_queue_work(loop_.raw(), &request->req, &Request::run, &Request::finish) != 0) return false;
  state_->pending.push_back(request.release());
  return true;
}

std::size_t Background::pending() const {
  return state_->pending.size();
}

}  // namespace pointsman::io
