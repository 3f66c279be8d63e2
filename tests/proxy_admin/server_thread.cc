#include "tests/proxy_admin/server_thread.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace pointsman::proxy::testing {

TempDir::TempDir() {
  std::string pattern = "/tmp/pm-admin-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ServerThread::ServerThread(std::string path, AdminServer::Handler handler, AdminLimits limits) {
  std::signal(SIGPIPE, SIG_IGN);
  std::promise<std::string> started;
  auto result = started.get_future();
  thread_ = std::thread([this, &started, path = std::move(path), handler = std::move(handler), limits] {
    io::Loop loop;
    AdminServer server(loop, path, handler, limits);
    mailbox_ = std::make_unique<io::Mailbox>(loop);
    loop_ = &loop;
    server_ = &server;
    const auto begun = server.start();
    started.set_value(begun ? "" : begun.error());
    loop.run();
    mailbox_.reset();
  });
  const std::string error = result.get();
  EXPECT_EQ(error, "");
}

ServerThread::~ServerThread() {
  EXPECT_TRUE(mailbox_->post([this] { loop_->stop(); }));
  thread_.join();
}

void ServerThread::run(std::function<void(AdminServer&)> task) {
  std::promise<void> done;
  const bool posted = mailbox_->post([&] {
    task(*server_);
    done.set_value();
  });
  ASSERT_TRUE(posted);
  done.get_future().wait();
}

AdminCounts ServerThread::counts() {
  AdminCounts counts;
  run([&](AdminServer& server) { counts = server.counts(); });
  return counts;
}

bool ServerThread::wait_until(const std::function<bool(AdminServer&)>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool held = false;
  while (!held && std::chrono::steady_clock::now() < deadline) {
    run([&](AdminServer& server) { held = holds(server); });
    if (!held) std::this_thread::yield();
  }
  return held;
}

RawClient::RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

RawClient::~RawClient() {
  close();
}

void RawClient::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawClient::end_of_input() {
  ::shutdown(fd_, SHUT_WR);
}

bool RawClient::read_more() {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, 30'000) != 1) return false;
  std::array<char, 65536> buffer;
  const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (count <= 0) return false;
  received_.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

std::string RawClient::line() {
  while (received_.find('\n') == std::string::npos && read_more()) {
  }
  const std::size_t end = received_.find('\n');
  const std::size_t length = end == std::string::npos ? received_.size() : end + 1;
  std::string line = received_.substr(0, length);
  received_.erase(0, length);
  return line;
}

std::string RawClient::rest() {
  while (read_more()) {
  }
  return std::exchange(received_, {});
}

}  // namespace pointsman::proxy::testing
