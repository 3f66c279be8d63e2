#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "bench/gap.h"
#include "bench/schedule.h"
#include "tests/testbed/sql.h"

namespace pointsman::bench {

// The table that writers write to. `server` is the id of the server that executed the INSERT, so that the row
// itself says afterwards who acknowledged it.
std::string create_table_statement(const std::string& table);
// Sets `server` of each commit of a run by the rows of the table; 0: there is no such row.
std::expected<void, std::string> look_up_rows(testbed::Sql& sql, const std::string& table, unsigned run,
                                              std::vector<std::vector<Commit>>& writers);

// What a writer does between its statements.
struct Pace {
  std::chrono::milliseconds retry_pause{1};  // after each try to connect that failed
  std::chrono::milliseconds think_time{0};   // between a commit and the next
};

// One client of the service address: commits numbered rows one after another (autocommit), and notes when
// each was acknowledged. On any error it reconnects at once, with a pause of `pace.retry_pause` after each
// try that failed. A row whose outcome it does not know is not written again; the next one has the next
// number. On schedule, the n-th commit is tried from the time on that is the n-th, until it is acknowledged;
// those that were due meanwhile follow as fast as they can. Writes on a thread of its own.
class Writer {
 public:
  struct Options {
    // Makes a connection on the writing thread. Bounded, in all it does, by some time longer than the proxy
    // holds a client; only a server that never answers makes a writer wait so long.
    std::function<std::expected<testbed::Sql, testbed::SqlError>()> connect;
    std::string table;
    unsigned run = 0;     // with `number` and the row's own number the primary key
    unsigned number = 0;  // of this writer
    Pace pace{};
    std::optional<Schedule> schedule{};  // nullopt: one after another
  };

  // From an error to the first commit on another connection.
  struct Interruption {
    Moment began;         // the error was seen
    Moment connected;     // logged in again
    Moment committed;     // the first commit after that; all three only when it came to that
    unsigned failed = 0;  // tries in between: connects, and first statements on a new connection
    std::string error;    // the first one
  };

  // Kept in memory at most; a writer that reaches one of them stops writing. Hours of writing.
  static constexpr std::size_t max_commits = 20'000'000;
  static constexpr std::size_t max_interruptions = 100'000;

  explicit Writer(Options options);
  ~Writer();  // stop()
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Ends after the statement that runs, which is bounded by `connect`; a pause is cut short.
  void stop();
  // The same without waiting for the end.
  void request_stop() { thread_.request_stop(); }

  std::uint64_t commits() const { return count_.load(std::memory_order_relaxed); }
  // When the connection was made on which the last commit was acknowledged; the epoch: none yet.
  Moment committing_since() const { return Moment(Span(committing_since_.load(std::memory_order_relaxed))); }

  // Copies of what was recorded so far; any thread. `server` is not known yet, see Stage::look_up().
  std::vector<Commit> record() const;
  std::vector<Interruption> interruptions() const;
  unsigned number() const { return options_.number; }

 private:
  void write(const std::stop_token& stop);
  bool wait_until_due(const std::stop_token& stop);
  bool wait_until(Moment when, const std::stop_token& stop);
  void reconnect(const std::stop_token& stop);
  void failed_try(const std::stop_token& stop);
  void write_row(const std::stop_token& stop);

  Options options_;
  std::mutex waiting_;
  std::condition_variable_any wait_;
  std::optional<testbed::Sql> sql_;
  Moment connected_;
  std::uint64_t next_ = 1;
  bool interrupted_ = false;  // the last interruption is not over
  mutable std::mutex mutex_;  // the two below; the writing thread alone changes them, and reads without it
  std::vector<Commit> record_;
  std::vector<Interruption> interruptions_;
  std::atomic<std::uint64_t> count_{0};
  std::atomic<Span::rep> committing_since_{0};
  std::jthread thread_;  // last: starts when all of the above is there
};

// Ends them together: a thousand that are told one by one would take a thousand pauses.
void stop_all(std::span<const std::unique_ptr<Writer>> writers);

}  // namespace pointsman::bench
