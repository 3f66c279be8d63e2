#include "proxy/admin_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "health/io/system_text.h"
#include "proxy/admin_protocol.h"

namespace pointsman::proxy {
namespace {

using Kind = AdminFailure::Kind;
using Milliseconds = std::chrono::milliseconds;
using Deadline = std::chrono::steady_clock::time_point;

std::unexpected<AdminFailure> failure(Kind kind, std::string text) {
  return std::unexpected(AdminFailure{kind, std::move(text)});
}

using io::system_text;

AdminFailure connect_failure(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return {
          Kind::no_daemon,
          "no pointsman runs here: there is no admin socket " + path +
              "\n(is the daemon started? does it use another socket? then give --socket PATH or -c FILE)"};
    case ECONNREFUSED:
      return {
          Kind::no_daemon,
          "no pointsman runs here: nobody listens on " + path +
              "\n(the daemon ended without removing its socket; start it again: systemctl start pointsman)"};
    case EACCES:
    case EPERM:
      return {Kind::denied, "you may not talk to pointsman: permission denied on " + path +
                                "\n(be root, or a member of the socket's group)"};
    case EAGAIN:
      return {Kind::no_daemon,
              "pointsman does not answer on " + path + ": it accepts no connection (hung, or stopped?)"};
    default:
      return {Kind::no_daemon, "cannot connect to " + path + ": " + system_text(error)};
  }
}

}  // namespace

AdminClient::AdminClient(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

AdminClient::AdminClient(AdminClient&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      received_(std::move(other.received_)),
      searched_(other.searched_) {}

AdminClient::~AdminClient() {
  if (fd_ >= 0) ::close(fd_);
}

std::expected<AdminClient, AdminFailure> AdminClient::connect(const std::string& path, Milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return failure(Kind::no_daemon, "not a path for a socket: '" + path + "'");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  AdminClient client(path, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (client.fd_ < 0) return failure(Kind::no_daemon, "cannot make a socket: " + system_text(errno));
  // A connect() to a Unix socket waits for room in the backlog, for as long as a send may take (unix(7)).
  timeval wait{};
  wait.tv_sec = timeout.count() / 1000;
  wait.tv_usec = timeout.count() % 1000 * 1000;
  ::setsockopt(client.fd_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  int status = 0;
  do {
    status = ::connect(client.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (status != 0 && errno == EINTR);
  if (status != 0) return std::unexpected(connect_failure(path, errno));
  return client;
}

std::expected<void, AdminFailure> AdminClient::send(const nlohmann::json& request) {
  const std::string line = admin_line(request);
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t count = ::send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    // EPIPE: it may have answered before it closed ("too many clients"); receive() tells.
    if (count < 0 && errno == EPIPE) return {};
    if (count < 0)
      return failure(Kind::no_daemon, "cannot ask pointsman on " + path_ + ": " + system_text(errno));
    sent += static_cast<std::size_t>(count);
  }
  return {};
}

std::expected<void, AdminFailure> AdminClient::wait_readable(std::optional<Deadline> deadline, int wake_fd) {
  while (true) {
    int wait_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<Milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
    }
    std::array<pollfd, 2> fds{pollfd{fd_, POLLIN, 0}, pollfd{wake_fd, POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), wait_ms);
    if (ready < 0 && errno != EINTR)
      return failure(Kind::lost, "cannot wait for pointsman: " + system_text(errno));
    if (ready <= 0) {
      if (ready == 0 && deadline && std::chrono::steady_clock::now() >= *deadline) {
        return failure(Kind::silent, "pointsman does not answer on " + path_ + " (hung, or stopped?)");
      }
      continue;
    }
    if (fds[1].revents != 0) return failure(Kind::interrupted, "interrupted");
    return {};
  }
}

std::expected<void, AdminFailure> AdminClient::read_some() {
  std::array<char, 65536> buffer;
  ssize_t count = 0;
  do {
    count = ::recv(fd_, buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return failure(Kind::lost, "pointsman broke the connection: " + system_text(errno));
  if (count == 0) return failure(Kind::lost, "pointsman closed the connection");
  received_.append(buffer.data(), static_cast<std::size_t>(count));
  if (received_.size() > max_line)
    return failure(Kind::garbage, "the answer on " + path_ + " is endless; is that pointsman?");
  return {};
}

std::expected<nlohmann::json, AdminFailure> AdminClient::receive(std::optional<Milliseconds> timeout,
                                                                 int wake_fd) {
  std::optional<Deadline> deadline;
  if (timeout) deadline = std::chrono::steady_clock::now() + *timeout;
  std::size_t line_end = received_.find('\n', searched_);
  while (line_end == std::string::npos) {
    searched_ = received_.size();
    if (auto ready = wait_readable(deadline, wake_fd); !ready)
      return std::unexpected(std::move(ready.error()));
    if (auto read = read_some(); !read) return std::unexpected(std::move(read.error()));
    line_end = received_.find('\n', searched_);
  }
  nlohmann::json value = nlohmann::json::parse(
      received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(line_end), nullptr, false);
  received_.erase(0, line_end + 1);
  searched_ = 0;
  if (!value.is_object()) return failure(Kind::garbage, "what answers on " + path_ + " is not pointsman");
  return value;
}

}  // namespace pointsman::proxy
