#include "tests/live/writer.h"

#include <algorithm>

namespace pointsman::live {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Writer::Writer(Connect connect, int first, int stride, std::chrono::milliseconds pause)
    : connect_(std::move(connect)), thread_([this, first, stride, pause] { run(first, stride, pause); }) {}

Writer::Writer(const testbed::Daemon& daemon, const testbed::Cluster& cluster, int first, int stride)
    : Writer([&daemon, login = cluster.accounts().application] { return daemon.connect(login, "app"); },
             first, stride) {}

void Writer::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Writer::run(int first, int stride, std::chrono::milliseconds pause) {
  int id = first;
  while (!stop_) {
    auto sql = connect_();
    if (!sql) {
      failed(sql.error());
      std::this_thread::sleep_for(1ms);
      continue;
    }
    while (!stop_) {
      // A row whose answer never came may be there or not; its number is never used again.
      const int mine = id;
      id += stride;
      const auto done = sql->execute("INSERT INTO `rows` VALUES (" + std::to_string(mine) + ", " +
                                     std::to_string(first) + ")");
      if (!done) {
        failed(done.error());
        break;
      }
      {
        const std::lock_guard lock(mutex_);
        rows_.emplace_back(mine, Clock::now());
      }
      if (pause > 0ms) std::this_thread::sleep_for(pause);
    }
  }
}

void Writer::failed(const testbed::SqlError& error) {
  const std::lock_guard lock(mutex_);
  ++errors_;
  last_error_ = error.text;
}

std::vector<Writer::Row> Writer::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_;
}

std::size_t Writer::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

std::vector<int> Writer::acknowledged() const {
  const std::lock_guard lock(mutex_);
  std::vector<int> ids;
  for (const auto& [id, at] : rows_) ids.push_back(id);
  return ids;
}

std::size_t Writer::count() const {
  const std::lock_guard lock(mutex_);
  return rows_.size();
}

bool Writer::wait_for(std::size_t more, std::chrono::milliseconds timeout) const {
  const std::size_t wanted = count() + more;
  for (const auto until = Clock::now() + timeout; Clock::now() < until; std::this_thread::sleep_for(1ms)) {
    if (count() >= wanted) return true;
  }
  return false;
}

std::chrono::milliseconds Writer::longest_gap(Clock::time_point since) const {
  const std::lock_guard lock(mutex_);
  Clock::duration longest{};
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    if (rows_[i].second >= since) longest = std::max(longest, rows_[i].second - rows_[i - 1].second);
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(longest);
}

std::string Writer::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

}  // namespace pointsman::live
