#include "health/mysql/session.h"

#include <algorithm>

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
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
  if (prepared) prepared = end_leftover(deadline);
  if (!prepared) close();
  return prepared;
}

// By the number alone it could be somebody else's, when the server was restarted meanwhile.
std::expected<void, core::Failure> Session::end_leftover(core::Instant deadline) {
  const auto id = connection_.take_abandoned();
  if (id == 0) return {};
  constexpr core::Duration pause = std::chrono::milliseconds(2);
  constexpr core::Duration longest = std::chrono::milliseconds(500);
  const auto enough = std::min(deadline, boot_now() + longest);
  for (bool killed = false; boot_now() < enough; killed = true) {
    const auto list = connection_.query("SHOW PROCESSLIST", deadline);
    if (!list) return std::unexpected(list.error());
    bool there = false;
    for (std::size_t row = 0; row < list->rows() && !there; ++row) {
      there = list->number(row, {"Id"}) == id && list->text(row, {"User"}) == user_;
    }
    if (!there) break;
    // Its failure is of no interest: the next look tells.
    if (!killed) (void)connection_.query(concat("KILL ", id), deadline);
    if (!connection_.is_open() || leftover_ == Leftover::kill || !connection_.pause(pause)) break;
  }
  return {};
}

std::expected<core::ServerReport, core::Failure> Session::report(core::Instant deadline) {
  return dialect_->report(connection_, deadline);
}

}  // namespace pointsman::mysql
