#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/admin_server.h"

namespace pointsman::proxy {

// One client of the admin socket: reads one request line, hands it on, writes the answer. Owned by the
// AdminServer. Ends by server.bury() from any state; nothing touches it after that but its deletion.
class AdminConnection {
 public:
  AdminConnection(AdminServer& server, io::Handle<uv_pipe_t> stream);
  ~AdminConnection();
  AdminConnection(const AdminConnection&) = delete;
  AdminConnection& operator=(const AdminConnection&) = delete;

  void start();
  void sweep(std::uint64_t now_ms);  // uv_now
  void call_gone();

  // For the Responder.
  void send(const nlohmann::json& line);
  void finish();
  void set_gone(std::function<void()> callback) { gone_ = std::move(callback); }

 private:
  // reading -> answering -> finishing -> dead; each may go to dead directly
  enum class State { reading, answering, finishing, dead };

  void on_read(ssize_t count);
  void on_bytes(std::string_view bytes);
  void on_end();
  void on_written(int status);
  void take(std::string_view line);
  void reject(std::string error);
  void write(std::string bytes);
  void end();
  bool peer_is_gone() const;

  AdminServer& server_;
  io::Handle<uv_pipe_t> stream_;
  State state_ = State::reading;
  std::string request_;
  std::uint64_t since_ms_;    // when the state began; uv_now
  std::size_t surplus_ = 0;   // bytes after the request
  bool half_closed_ = false;  // the client sends no more, but may still read
  bool client_left_ = false;  // ended before finish(): gone_ is to be called
  std::function<void()> gone_;
  std::weak_ptr<Responder> responder_;
};

}  // namespace pointsman::proxy
