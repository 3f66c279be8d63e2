#pragma once

#include <atomic>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/gap.h"

// Whether two servers ever accepted writes at the same time, asked of the servers themselves.
namespace pointsman::bench {

// One answer to "do you accept writes?". The state that it tells of held at some time between the two.
struct Look {
  Moment asked;
  Moment answered;
  bool writable = false;  // false too when there was no answer
};

// Judges by looks at two servers. Pure.
//
// Two answers cannot be had in one instant, and a switchover within microseconds of both would look like two
// writers. So only this counts: a, b, a, b, each asked after the one before was answered, all four writable,
// and nothing else heard of either in between. Then b was writable between two looks at a that both found it
// writable, and a between two such looks at b.
class OverlapJudge {
 public:
  // Looks of one server come in their order. True: with this one both are convicted.
  bool see(unsigned server, const Look& look);

 private:
  // Between two looks at one server that are further apart it may have become read-only and writable again.
  static constexpr Span longest_step = std::chrono::milliseconds(300);
  static constexpr std::size_t remembered = 64;  // looks of a server; at 20 ms more than longest_step

  bool alternates(unsigned first) const;

  std::deque<Look> runs_[2];  // the newest looks in a row that were all writable
};

// Asks both servers all the time, each on a thread of its own, as root by their unix sockets.
class Witness {
 public:
  explicit Witness(std::vector<std::filesystem::path> sockets);
  ~Witness();
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // "": never two. Else when the first time was, and what was seen.
  std::string violation() const;
  // When a server's answer changed, since the last call.
  struct Change {
    Moment at;
    std::size_t server = 0;
    std::string state;  // "accepts writes", "is read-only", "does not answer"
  };
  std::vector<Change> take_changes();
  std::uint64_t looks() const { return looks_.load(std::memory_order_relaxed); }

 private:
  void watch(const std::stop_token& stop, std::size_t server);
  void note(std::size_t server, const Look& look, const std::string& state);

  std::vector<std::filesystem::path> sockets_;
  mutable std::mutex mutex_;  // all below but the threads
  OverlapJudge judge_;
  std::string violation_;
  std::vector<std::string> states_;
  std::vector<Change> changes_;
  std::atomic<std::uint64_t> looks_{0};
  std::vector<std::jthread> threads_;  // last: start when all of the above is there
};

}  // namespace pointsman::bench
