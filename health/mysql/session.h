#pragma once

#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/connection.h"
#include "health/mysql/dialect.h"

namespace pointsman::mysql {

// A logged-in connection together with the dialect of what it found there: what the prober and the commander
// each own one of, in their own thread.
class Session {
 public:
  // What becomes of a statement that an earlier connection was left alone with, so that statements that hang
  // do not pile up: it is killed, and its end is waited for, when it must not take effect after what comes
  // now.
  enum class Leftover { kill, kill_and_wait };

  Session(Connection::Options options, Leftover leftover, const Waker& interrupt)
      : user_(options.account.user), leftover_(leftover), connection_(std::move(options), interrupt) {}

  // Connects, chooses the dialect anew (the server may have been replaced by another version) and prepares
  // the session's variables. On failure it is closed.
  std::expected<void, core::Failure> open(core::Instant deadline);

  bool is_open() const { return connection_.is_open(); }
  void close() { connection_.close(); }
  Connection& connection() { return connection_; }
  Dialect& dialect() { return *dialect_; }  // only after an open() that succeeded

  std::expected<core::ServerReport, core::Failure> report(core::Instant deadline);

 private:
  std::expected<void, core::Failure> end_leftover(core::Instant deadline);

  const std::string user_;
  const Leftover leftover_;
  Connection connection_;
  std::unique_ptr<Dialect> dialect_;
};

}  // namespace pointsman::mysql
