#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "proxy/admin_server.h"

namespace pointsman::proxy::testing {

// A directory of its own under /tmp, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string file(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A real AdminServer on a loop and a thread of its own, as in the daemon. The end of the loop checks that no
// handle is left.
class ServerThread {
 public:
  ServerThread(std::string path, AdminServer::Handler handler, AdminLimits limits = {});
  ~ServerThread();

  // Runs on the loop's thread; waits for it.
  void run(std::function<void(AdminServer&)> task);
  AdminCounts counts();
  // Returns when `holds` does, asked anew after each turn of the loop; false after 30 s.
  bool wait_until(const std::function<bool(AdminServer&)>& holds);

 private:
  std::unique_ptr<io::Mailbox> mailbox_;  // on the loop's thread, while it runs
  std::thread thread_;
  AdminServer* server_ = nullptr;
  io::Loop* loop_ = nullptr;
};

// A bare socket, to say what no proper client says.
class RawClient {
 public:
  explicit RawClient(const std::string& path);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view bytes);  // false: the server has closed
  void end_of_input();                // shutdown(SHUT_WR)
  // Up to and with the next line end; what came, if the server closes or 30 s pass before.
  std::string line();
  std::string rest();  // all until the server closes
  void close();

 private:
  bool read_more();

  int fd_ = -1;
  bool connected_ = false;
  std::string received_;
};

}  // namespace pointsman::proxy::testing
