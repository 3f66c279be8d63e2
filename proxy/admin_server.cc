#include "proxy/admin_server.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

#include "proxy/admin_connection.h"

namespace pointsman::proxy {

using io::as_stream;

namespace {

constexpr int backlog = 128;

std::chrono::milliseconds sweep_period(const AdminLimits& limits) {
  return std::clamp(limits.patience / 4, std::chrono::milliseconds(10), std::chrono::milliseconds(1000));
}

}  // namespace

Responder::~Responder() {
  if (!answered_) fail("the daemon dropped the request without an answer");
  finish();
}

void Responder::ok(nlohmann::json result) {
  send(admin_ok(std::move(result)));
  finish();
}

void Responder::fail(std::string error) {
  send(admin_error(std::move(error)));
  finish();
}

void Responder::send(const nlohmann::json& line) {
  answered_ = true;
  if (connection_ != nullptr) connection_->send(line);
}

void Responder::finish() {
  if (connection_ == nullptr) return;
  AdminConnection* connection = std::exchange(connection_, nullptr);
  connection->finish();
}

void Responder::on_gone(std::function<void()> callback) {
  if (connection_ != nullptr) connection_->set_gone(std::move(callback));
}

AdminServer::AdminServer(io::Loop& loop, std::string path, Handler handler, AdminLimits limits)
    : loop_(loop),
      path_(std::move(path)),
      handler_(std::move(handler)),
      limits_(limits),
      sweeper_(loop, [this] { sweep(); }),
      reaper_(loop, [this] { reap(); }) {}

AdminServer::~AdminServer() = default;

std::expected<void, std::string> AdminServer::start() {
  auto claimed = SocketFile::claim(path_, admin_socket);
  if (!claimed) return std::unexpected(std::move(claimed.error()));
  io::Descriptor socket(claimed->release());
  return start(std::move(*claimed), std::move(socket));
}

std::expected<void, std::string> AdminServer::start(SocketFile place, io::Descriptor socket) {
  auto listener =
      io::make_handle<uv_pipe_t>(this, [this](uv_pipe_t* h) { return uv_pipe_init(loop_.raw(), h, 0); });
  if (!listener)
    return std::unexpected(std::string("cannot make the admin socket: ") + uv_strerror(listener.error()));
  int status = uv_pipe_open(listener->get(), socket.get());
  if (status == 0) {
    socket.release();  // NOLINT(bugprone-unused-return-value): libuv's until the handle is closed
    status = uv_listen(as_stream(listener->get()), backlog, [](uv_stream_t* stream, int) {
      if (auto* self = static_cast<AdminServer*>(stream->data)) self->accept_one();
    });
  }
  if (status != 0)
    return std::unexpected("cannot listen on the admin socket " + path_ + ": " + uv_strerror(status));
  socket_.emplace(std::move(place));
  listener_ = std::move(*listener);
  return {};
}

int AdminServer::socket() const {
  uv_os_fd_t fd = -1;
  return listener_ && uv_fileno(io::as_handle(listener_.get()), &fd) == 0 ? fd : -1;
}

void AdminServer::keep_place(bool kept) {
  if (socket_) socket_->keep(kept);
}

void AdminServer::accept_one() {
  auto made =
      io::make_handle<uv_pipe_t>(nullptr, [this](uv_pipe_t* h) { return uv_pipe_init(loop_.raw(), h, 0); });
  if (!made || uv_accept(as_stream(listener_.get()), as_stream(made->get())) != 0) return;
  if (connections_.size() >= limits_.clients) return refuse(std::move(*made));
  ++counts_.accepted;
  connections_.push_back(std::make_unique<AdminConnection>(*this, std::move(*made)));
  if (!sweeper_.active()) sweeper_.start_every(sweep_period(limits_));
  connections_.back()->start();
}

// Told why if the socket takes it at once; closed either way.
void AdminServer::refuse(io::Handle<uv_pipe_t> client) {
  ++counts_.refused_full;
  std::string line = admin_line(admin_error("too many clients on the admin socket (at most " +
                                            std::to_string(limits_.clients) + "); try again later"));
  const uv_buf_t buffer = uv_buf_init(line.data(), static_cast<unsigned>(line.size()));
  uv_try_write(as_stream(client.get()), &buffer, 1);
}

void AdminServer::sweep() {
  const std::uint64_t now_ms = uv_now(loop_.raw());
  for (auto next = connections_.begin(); next != connections_.end();) {
    AdminConnection& connection = **next++;  // sweeping may bury it
    connection.sweep(now_ms);
  }
  if (connections_.empty()) sweeper_.stop();
}

void AdminServer::bury(AdminConnection* connection) {
  const auto found = std::ranges::find(connections_, connection, &std::unique_ptr<AdminConnection>::get);
  if (found == connections_.end()) return;
  dead_.splice(dead_.end(), connections_, found);
  reaper_.start_after(core::Duration::zero());
}

void AdminServer::reap() {
  Connections batch = std::exchange(dead_, {});
  for (const auto& connection : batch) connection->call_gone();
}

}  // namespace pointsman::proxy
