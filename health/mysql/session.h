#pragma once

#include <expected>
#include <memory>

#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/connection.h"
#include "health/mysql/dialect.h"

namespace pointsman::mysql {

// A logged-in connection together with the dialect of what it found there: what the prober and the commander
// each own one of, in their own thread.
class Session {
 public:
  Session(Connection::Options options, const Waker& interrupt) : connection_(std::move(options), interrupt) {}

  // Connects, chooses the dialect anew (the server may have been replaced by another version) and prepares
  // the session's variables. On failure it is closed.
  std::expected<void, core::Failure> open(core::Instant deadline);

  bool is_open() const { return connection_.is_open(); }
  void close() { connection_.close(); }
  Connection& connection() { return connection_; }
  Dialect& dialect() { return *dialect_; }  // only after an open() that succeeded

  std::expected<core::ServerReport, core::Failure> report(core::Instant deadline);

 private:
  Connection connection_;
  std::unique_ptr<Dialect> dialect_;
};

}  // namespace pointsman::mysql
