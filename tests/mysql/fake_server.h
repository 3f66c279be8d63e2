#pragma once

#include <atomic>
#include <functional>
#include <string_view>
#include <thread>

#include "conf/config.h"

namespace pointsman::mysql {

// Something that listens on a port of 127.0.0.1 and is no good database: each connection is handed to
// `serve`, one at a time. Ends with this object, whatever its clients do.
class FakeServer {
 public:
  // `serve` returns when it is done with the connection, which is then closed; hold() inside it waits for the
  // client to go.
  explicit FakeServer(std::function<void(int fd)> serve);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  conf::HostPort address() const { return {"127.0.0.1", port_}; }
  int connections() const { return connections_; }

  static void send(int fd, std::string_view bytes);
  // Until the client closes the connection or this server ends.
  void hold(int fd) const;
  // True when the client has sent something, false when it went away.
  bool wait_for_bytes(int fd) const;

 private:
  void run();

  std::function<void(int)> serve_;
  int listener_ = -1;
  int stop_read_ = -1;
  int stop_write_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace pointsman::mysql
