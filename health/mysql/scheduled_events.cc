#include "health/mysql/scheduled_events.h"

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/mysql/report_parts.h"

namespace pointsman::mysql {
namespace {

using Outcome = std::expected<void, core::Failure>;

// 'user'@'host' from "user@host"; the host has no @.
std::string quote_account(std::string_view account) {
  const auto at = account.rfind('@');
  if (at == std::string_view::npos) return quote(account);
  return concat(quote(account.substr(0, at)), "@", quote(account.substr(at + 1)));
}

Outcome start_scheduler(Session& session, core::Instant deadline) {
  const auto state = session.connection().query("SELECT @@global.event_scheduler", deadline);
  if (!state) return std::unexpected(state.error());
  if (state->at(0, 0) == "ON") return {};
  auto started = run(session.connection(), "SET GLOBAL event_scheduler = ON", deadline);
  if (started || !session.is_open()) return started;
  const auto events = session.connection().query(
      "SELECT COUNT(*) AS enabled FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'", deadline);
  if (!events) return std::unexpected(events.error());
  return events->number(0, {"enabled"}) == 0 ? Outcome() : started;
}

}  // namespace

// An event keeps its definer: without the clause the one who alters it becomes that, and it would run with
// our few rights.
Outcome enable_events(Session& session, bool scheduler, core::Instant deadline) {
  const auto events = session.connection().query(
      "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS"
      " WHERE STATUS IN ('SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED')",
      deadline);
  if (!events) return std::unexpected(events.error());
  Outcome outcome;  // one that may not be enabled does not keep the others from it
  for (std::size_t row = 0; row < events->rows(); ++row) {
    const auto done = run(session.connection(),
                          concat("ALTER DEFINER = ", quote_account(events->text(row, {"DEFINER"})), " EVENT ",
                                 quote_name(events->text(row, {"EVENT_SCHEMA"})), ".",
                                 quote_name(events->text(row, {"EVENT_NAME"})), " ENABLE"),
                          deadline);
    if (!done && !session.is_open()) return done;
    if (!done && outcome) outcome = done;
  }
  if (!outcome) return outcome;
  return scheduler ? start_scheduler(session, deadline) : Outcome();
}

Outcome stop_scheduler(Session& session, core::Instant deadline) {
  const auto state = session.connection().query("SELECT @@global.event_scheduler", deadline);
  if (!state) return std::unexpected(state.error());
  if (state->at(0, 0) != "ON") return {};
  auto stopped = run(session.connection(), "SET GLOBAL event_scheduler = OFF", deadline);
  return session.is_open() ? Outcome() : stopped;
}

}  // namespace pointsman::mysql
