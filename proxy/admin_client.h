#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace pointsman::proxy {

// What went wrong between a command and the daemon; `text` is for the operator.
struct AdminFailure {
  enum class Kind {
    no_daemon,    // nobody listens
    silent,       // somebody listens, and does not answer in time
    denied,       // this user may not open the socket
    lost,         // the daemon went away after it had the request
    garbage,      // what answers is not the daemon
    interrupted,  // the caller's wake_fd became readable
  };
  Kind kind = Kind::no_daemon;
  std::string text;
};

// One request to the daemon, blocking: for the operator's commands, which have nothing else to do. One
// thread.
class AdminClient {
 public:
  static constexpr std::size_t max_line =
      std::size_t{16} * 1024 * 1024;  // bytes; beyond the daemon's own limit

  static std::expected<AdminClient, AdminFailure> connect(const std::string& path,
                                                          std::chrono::milliseconds timeout);
  AdminClient(AdminClient&& other) noexcept;
  AdminClient& operator=(AdminClient&&) = delete;
  ~AdminClient();

  std::expected<void, AdminFailure> send(const nlohmann::json& request);

  // The next line. `timeout` nullopt: as long as it takes. With `wake_fd`, returns `interrupted` when that
  // becomes readable.
  std::expected<nlohmann::json, AdminFailure> receive(std::optional<std::chrono::milliseconds> timeout,
                                                      int wake_fd = -1);

 private:
  explicit AdminClient(std::string path, int fd);
  std::expected<void, AdminFailure> wait_readable(
      std::optional<std::chrono::steady_clock::time_point> deadline, int wake_fd);
  std::expected<void, AdminFailure> read_some();

  std::string path_;
  int fd_ = -1;
  std::string received_;
  std::size_t searched_ = 0;  // no line end before this offset of received_
};

}  // namespace pointsman::proxy
