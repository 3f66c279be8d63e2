#include "proxy/admin_connection.h"

#include <exception>
#include <utility>

#include <poll.h>

namespace pointsman::proxy {

using io::as_stream;

namespace {

// Owns its bytes until libuv calls back, which it does for a closed stream too.
struct WriteRequest {
  uv_write_t request{};
  std::string bytes;
};

}  // namespace

AdminConnection::AdminConnection(AdminServer& server, io::Handle<uv_pipe_t> stream)
    : server_(server), stream_(std::move(stream)), since_ms_(uv_now(server.loop_.raw())) {
  stream_->data = this;
}

AdminConnection::~AdminConnection() {
  if (const auto responder = responder_.lock()) responder->connection_ = nullptr;
}

void AdminConnection::start() {
  const int status = uv_read_start(
      as_stream(stream_.get()),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* self = static_cast<AdminConnection*>(handle->data);
        *buffer = self == nullptr ? uv_buf_init(nullptr, 0)
                                  : uv_buf_init(self->server_.read_buffer_.data(),
                                                static_cast<unsigned>(self->server_.read_buffer_.size()));
      },
      [](uv_stream_t* handle, ssize_t count, const uv_buf_t*) {
        if (auto* self = static_cast<AdminConnection*>(handle->data)) self->on_read(count);
      });
  if (status != 0) end();
}

void AdminConnection::on_read(ssize_t count) {
  if (state_ == State::dead || count == 0) return;
  if (count > 0) return on_bytes({server_.read_buffer_.data(), static_cast<std::size_t>(count)});
  if (count == UV_EOF) return on_end();
  if (state_ == State::reading) ++server_.counts_.left_early;
  end();
}

void AdminConnection::on_bytes(std::string_view bytes) {
  if (state_ != State::reading) {
    surplus_ += bytes.size();
    if (surplus_ > server_.limits_.request) end();
    return;
  }
  const std::size_t line_end = bytes.find('\n');
  const std::size_t length = line_end == std::string_view::npos ? bytes.size() : line_end;
  if (request_.size() + length >= server_.limits_.request) {
    ++server_.counts_.oversized;
    return reject("the request is longer than " + std::to_string(server_.limits_.request) + " bytes");
  }
  request_.append(bytes.substr(0, length));
  if (line_end != std::string_view::npos) take(std::exchange(request_, {}));
}

// The client sends no more. It may still want its answer (`echo ... | socat - UNIX:...` does that), so only a
// closed socket is a client that left. A request without its line end counts: a cut object does not parse.
void AdminConnection::on_end() {
  half_closed_ = true;
  uv_read_stop(as_stream(stream_.get()));
  if (peer_is_gone() || (state_ == State::reading && request_.empty())) {
    if (state_ == State::reading) ++server_.counts_.left_early;
    return end();
  }
  if (state_ == State::reading) take(std::exchange(request_, {}));
}

void AdminConnection::take(std::string_view line) {
  auto request = parse_admin_request(line);
  if (!request) {
    ++server_.counts_.bad_requests;
    return reject(std::move(request.error()));
  }
  ++server_.counts_.requests;
  state_ = State::answering;
  const auto responder = std::make_shared<Responder>(this);
  responder_ = responder;
  try {
    server_.handler_(*request, responder);
  } catch (const std::exception& error) {
    responder->fail(std::string("internal error: ") + error.what());
  }
}

void AdminConnection::reject(std::string error) {
  state_ = State::answering;
  send(admin_error(std::move(error)));
  finish();
}

void AdminConnection::send(const nlohmann::json& line) {
  if (state_ != State::answering) return;
  std::string bytes;
  try {
    bytes = admin_line(line);
  } catch (const std::exception&) {
    bytes = admin_line(admin_error("internal error: the answer cannot be written as JSON"));
  }
  const std::size_t queued = uv_stream_get_write_queue_size(as_stream(stream_.get()));
  if (queued == 0 && bytes.size() > server_.limits_.queue) {
    bytes = admin_line(admin_error("the answer is longer than " + std::to_string(server_.limits_.queue) +
                                   " bytes; ask for less"));
  }
  if (queued + bytes.size() > server_.limits_.queue) {
    ++server_.counts_.dropped_slow;
    return end();
  }
  write(std::move(bytes));
}

void AdminConnection::write(std::string bytes) {
  auto owned = std::make_unique<WriteRequest>();
  owned->bytes = std::move(bytes);
  owned->request.data = owned.get();
  const uv_buf_t buffer = uv_buf_init(owned->bytes.data(), static_cast<unsigned>(owned->bytes.size()));
  const int status =
      uv_write(&owned->request, as_stream(stream_.get()), &buffer, 1, [](uv_write_t* request, int result) {
        const std::unique_ptr<WriteRequest> done(static_cast<WriteRequest*>(request->data));
        if (auto* self = static_cast<AdminConnection*>(request->handle->data)) self->on_written(result);
      });
  if (status != 0) return end();
  owned.release();  // NOLINT(bugprone-unused-return-value): libuv's until the callback
}

void AdminConnection::on_written(int status) {
  if (state_ == State::dead) return;
  if (status != 0) return end();
  if (state_ == State::finishing && uv_stream_get_write_queue_size(as_stream(stream_.get())) == 0) end();
}

void AdminConnection::finish() {
  if (state_ != State::answering) return;
  state_ = State::finishing;
  since_ms_ = uv_now(server_.loop_.raw());
  if (uv_stream_get_write_queue_size(as_stream(stream_.get())) == 0) end();
}

void AdminConnection::sweep(std::uint64_t now_ms) {
  const auto patience_ms = static_cast<std::uint64_t>(server_.limits_.patience.count());
  const bool late = now_ms - since_ms_ > patience_ms;
  if (state_ == State::reading && late) {
    ++server_.counts_.timed_out;
    return reject("no whole request line came within " + std::to_string(patience_ms) + " ms");
  }
  if (state_ == State::finishing && late) {
    ++server_.counts_.dropped_slow;
    return end();
  }
  if (half_closed_ && peer_is_gone()) end();
}

void AdminConnection::end() {
  if (state_ == State::dead) return;
  client_left_ = state_ == State::answering;
  state_ = State::dead;
  if (const auto responder = responder_.lock()) responder->connection_ = nullptr;
  stream_.reset();
  server_.bury(this);
}

void AdminConnection::call_gone() {
  if (client_left_ && gone_) std::exchange(gone_, nullptr)();
}

// Half closed and wholly closed look the same to a reader; only the poll flags tell.
bool AdminConnection::peer_is_gone() const {
  uv_os_fd_t fd = -1;
  if (uv_fileno(io::as_handle(stream_.get()), &fd) != 0) return true;
  pollfd state{fd, 0, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace pointsman::proxy
