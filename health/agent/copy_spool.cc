#include "health/agent/copy_spool.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "health/mysql/boot_clock.h"

namespace pointsman::agent {
namespace {

constexpr std::size_t piece_bytes = 65'536;
constexpr std::chrono::milliseconds moment(200);
// What its releases say before commits begin to wait.
constexpr std::array<std::string_view, 2> lock_words{"BLOCK_COMMIT", "BACKUP LOCKS"};

}  // namespace

CopySpool::CopySpool(copy::Child& backup, Limits limits)
    : backup_(backup), limits_(limits), last_move_(mysql::boot_now()) {
  backup_.on_said = [this](std::string_view said) {
    if (std::ranges::any_of(lock_words, [&](std::string_view word) { return said.contains(word); }))
      locked_ = true;
  };
  thread_ = std::thread([this] { read(); });
}

CopySpool::~CopySpool() {
  stop_.ring();
  thread_.join();
  backup_.on_said = nullptr;
}

std::expected<CopySpool::State, std::string> CopySpool::take(std::string& piece) {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, moment, [this] { return !pieces_.empty() || end_; });
  if (!failure_.empty()) return std::unexpected(failure_);
  if (pieces_.empty()) return end_ ? State::end : State::nothing_yet;
  piece = std::move(pieces_.front());
  pieces_.pop_front();
  bytes_ -= piece.size();
  taken_.ring();
  return State::data;
}

// Why the backup cannot go on; nullopt: look again.
std::optional<std::string> CopySpool::wait() {
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    full = bytes_ >= room();
  }
  std::array<pollfd, 4> fds{pollfd{full ? -1 : backup_.data.get(), POLLIN, 0},
                            pollfd{backup_.complaints.get(), POLLIN, 0}, pollfd{stop_.fd(), POLLIN, 0},
                            pollfd{taken_.fd(), POLLIN, 0}};
  ::poll(fds.data(), fds.size(), static_cast<int>(moment.count()));
  if (fds[3].revents != 0) {
    taken_.clear();
    // It was held up by who takes, and has its own time again from now on.
    if (!locked_) last_move_ = mysql::boot_now();
  }
  if (fds[2].revents != 0) return "given up";
  backup_.listen();
  const auto still = mysql::boot_now() - last_move_;
  if (full && locked_ && still > limits_.patience)
    return "the other side takes the data too slowly, and the server's commits wait for that";
  if (!full && still > limits_.stall) return "mariadb-backup gives nothing any more";
  return std::nullopt;
}

// False: that was all.
bool CopySpool::read_some() {
  std::string piece(piece_bytes, '\0');
  const ssize_t n = ::recv(backup_.data.get(), piece.data(), piece.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  piece.resize(static_cast<std::size_t>(n));
  last_move_ = mysql::boot_now();
  const std::lock_guard lock(mutex_);
  bytes_ += piece.size();
  pieces_.push_back(std::move(piece));
  news_.notify_one();
  return true;
}

void CopySpool::read() {
  std::string why;
  while (true) {
    if (auto trouble = wait()) {
      why = std::move(*trouble);
      backup_.kill();
      break;
    }
    {
      const std::lock_guard lock(mutex_);
      if (bytes_ >= room()) continue;
    }
    if (!read_some()) break;
  }
  const std::lock_guard lock(mutex_);
  failure_ = std::move(why);
  end_ = true;
  news_.notify_one();
}

}  // namespace pointsman::agent
