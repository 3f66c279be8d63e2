#include "health/mysql/session.h"

#include "health/mysql/report_parts.h"

namespace pointsman::mysql {

std::expected<void, core::Failure> Session::open(core::Instant deadline) {
  if (auto connected = connection_.connect(deadline); !connected) return connected;
  auto dialect = choose_dialect(connection_);
  if (!dialect) {
    close();
    return std::unexpected(dialect.error());
  }
  dialect_ = std::move(*dialect);
  // Without NO_BACKSLASH_ESCAPES and ANSI_QUOTES quote() is right whatever the server's default is. A session
  // that is idle between two commands stays.
  auto prepared = run(connection_, "SET SESSION sql_mode = '', wait_timeout = 604800", deadline);
  if (!prepared) close();
  return prepared;
}

std::expected<core::ServerReport, core::Failure> Session::report(core::Instant deadline) {
  return dialect_->report(connection_, deadline);
}

}  // namespace pointsman::mysql
