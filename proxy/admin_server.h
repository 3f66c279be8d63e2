#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "health/io/descriptor.h"
#include "health/io/handle.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/admin_protocol.h"
#include "proxy/socket_file.h"

namespace pointsman::proxy {

class AdminConnection;

// The way to answer one request, now or later, on the loop's thread. Every call is harmless after the client
// has left or the server has ended. Dropping the last pointer finishes; without an answer, with an error.
class Responder {
 public:
  explicit Responder(AdminConnection* connection) : connection_(connection) {}
  ~Responder();
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  void ok(nlohmann::json result);  // the answer {"ok":true,"result":...}, and finish()
  void fail(std::string error);    // the answer {"ok":false,"error":"..."}, and finish()

  // One line as it is. For streams: send(admin_ok(...)), then a line for each event. A client that takes its
  // lines too slowly (more than admin_max_answer bytes wait) is dropped, and is gone.
  void send(const nlohmann::json& line);
  // Nothing more comes: closes once all lines are out.
  void finish();

  // `callback` runs once, from the top of the loop, when the client leaves or is dropped before finish(). Not
  // when the server itself ends.
  void on_gone(std::function<void()> callback);
  bool gone() const { return connection_ == nullptr; }

 private:
  friend class AdminConnection;
  AdminConnection* connection_;  // null once the client has left; the connection clears it
  bool answered_ = false;
};

inline constexpr SocketFile::Use admin_socket{"admin socket", "admin.socket", 0660};

struct AdminLimits {
  std::size_t clients = admin_max_clients;
  std::size_t request = admin_max_request;  // bytes
  std::size_t queue = admin_max_answer;     // bytes that wait for one client
  std::chrono::milliseconds patience{
      10'000};  // for a whole request, and later for the client to take the last of its answer
};

// Since start; for the metrics.
struct AdminCounts {
  std::uint64_t accepted = 0;
  std::uint64_t refused_full = 0;  // beyond AdminLimits::clients
  std::uint64_t requests = 0;      // well formed
  std::uint64_t bad_requests = 0;  // not a JSON object with a command
  std::uint64_t oversized = 0;
  std::uint64_t timed_out = 0;   // no whole request in time
  std::uint64_t left_early = 0;  // before the request was whole
  std::uint64_t dropped_slow = 0;
};

// Answers the operator's commands on a Unix socket; see admin_protocol.h. Lives on the control loop's thread,
// owned by the daemon. The handler gets each well-formed request (an object with a string "command") and a
// Responder; it may answer at once or keep the Responder. An exception out of the handler is answered as an
// internal error. The process must ignore SIGPIPE: a client may leave at any time.
class AdminServer {
 public:
  using Handler = std::function<void(const nlohmann::json& request, std::shared_ptr<Responder>)>;

  AdminServer(io::Loop& loop, std::string path, Handler handler, AdminLimits limits = {});
  ~AdminServer();  // ends every connection and removes the socket
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Binds and listens. Error: a sentence for the operator (see SocketFile::claim).
  std::expected<void, std::string> start();
  // The same in a place that is claimed already; `socket` is bound there.
  std::expected<void, std::string> start(SocketFile place, io::Descriptor socket);
  // To give to another process: the listening socket, and the lock of its place.
  const std::string& path() const { return path_; }
  int socket() const;
  int lock() const { return socket_ ? socket_->lock() : -1; }
  // Whether the place stays when this is destroyed, as another process answers there.
  void keep_place(bool kept);

  const AdminCounts& counts() const { return counts_; }
  std::size_t clients() const { return connections_.size(); }

 private:
  friend class AdminConnection;
  using Connections = std::list<std::unique_ptr<AdminConnection>>;

  void accept_one();
  void refuse(io::Handle<uv_pipe_t> client);
  void sweep();
  // The connection acts no more; it is deleted, and its on_gone called, from the top of the loop.
  void bury(AdminConnection* connection);
  void reap();

  io::Loop& loop_;
  const std::string path_;
  const Handler handler_;
  const AdminLimits limits_;
  AdminCounts counts_;
  std::optional<SocketFile> socket_;
  io::Handle<uv_pipe_t> listener_;
  io::Timer sweeper_;  // runs while there are clients
  io::Timer reaper_;
  Connections connections_;
  Connections dead_;
  std::array<char, 65536> read_buffer_{};  // filled and emptied within one callback, so one serves all
};

}  // namespace pointsman::proxy
