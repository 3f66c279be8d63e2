#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "health/copy/child.h"
#include "health/core/time.h"
#include "health/mysql/waker.h"

namespace pointsman::agent {

// Reads what mariadb-backup writes, ahead of who takes it. At its end mariadb-backup holds a lock that makes
// the server's commits wait; from then on its output is taken into memory as fast as it comes, so that a slow
// network, a slow disk or somebody who stopped at the other end does not hold up the server's clients. And
// when even that room is full for `patience`, the backup is ended: commits come first.
class CopySpool {
 public:
  struct Limits {
    std::size_t usual = std::size_t{4} << 20;     // bytes read ahead
    std::size_t locked = std::size_t{256} << 20;  // while commits wait
    core::Duration patience = std::chrono::seconds(5);
    core::Duration stall = std::chrono::minutes(10);  // nothing came for so long
  };

  // `backup` has been started with its output for us, and is ours until finish().
  CopySpool(copy::Child& backup, Limits limits);
  ~CopySpool();
  CopySpool(const CopySpool&) = delete;
  CopySpool& operator=(const CopySpool&) = delete;

  enum class State { data, nothing_yet, end };
  // The next piece; waits for it for a moment.
  std::expected<State, std::string> take(std::string& piece);

  // Whether it has said that it has the lock.
  bool locked() const { return locked_; }

 private:
  void read();
  bool read_some();
  std::optional<std::string> wait();
  std::size_t room() const { return locked_ ? limits_.locked : limits_.usual; }

  copy::Child& backup_;
  const Limits limits_;
  std::atomic<bool> locked_ = false;
  mysql::Waker stop_;
  mysql::Waker taken_;

  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<std::string> pieces_;
  std::size_t bytes_ = 0;
  bool end_ = false;
  std::string failure_;
  core::Instant last_move_{};
  std::thread thread_;  // last: uses what is above
};

}  // namespace pointsman::agent
