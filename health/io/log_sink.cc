#include "health/io/log_sink.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace pointsman::io {
namespace {

constexpr int patience_ms = 1000;  // for a pipe or terminal that takes nothing

int open_file(const std::string& file) {
  return ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

// A pipe that polls writable has room for one page, so a chunk of that size never blocks (pipe(7)).
constexpr std::size_t chunk_limit = 4096;

bool write_all(int fd, const char* data, std::size_t size, int timeout_ms) {
  while (size > 0) {
    pollfd ready{fd, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, timeout_ms);
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return false;
    const ssize_t written = ::write(fd, data, std::min(size, chunk_limit));
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;
    }
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace

std::expected<std::shared_ptr<LogSink>, std::string> LogSink::open(const std::string& file) {
  int fd = STDERR_FILENO;
  if (!file.empty()) {
    fd = open_file(file);
    if (fd < 0) {
      return std::unexpected("cannot open the log file " + file + ": " +
                             std::generic_category().message(errno));
    }
  }
  return std::make_shared<LogSink>(file, fd);
}

LogSink::LogSink(std::string file, int fd) : file_(std::move(file)), fd_(fd) {}

LogSink::~LogSink() {
  if (!file_.empty() && fd_ >= 0) ::close(fd_);
}

void LogSink::open_anew() {
  const int fresh = open_file(file_);
  if (fresh < 0) return;  // the old file still takes the lines: better there than nowhere
  ::close(fd_);
  fd_ = fresh;
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  if (reopen_.exchange(false) && !file_.empty()) open_anew();
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  if (!write_all(fd_, line.data(), line.size(), patient_ ? patience_ms : 0)) ++dropped_total_;
}

}  // namespace pointsman::io
