#include "health/mysql/after_promotion.h"

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/mysql/report_parts.h"

namespace pointsman::mysql {
namespace {

constexpr core::Duration statement_timeout = std::chrono::seconds(5);
constexpr core::Duration retry_interval = std::chrono::seconds(1);

// 'user'@'host' from "user@host"; the host has no @.
std::string quote_account(std::string_view account) {
  const auto at = account.rfind('@');
  if (at == std::string_view::npos) return quote(account);
  return concat(quote(account.substr(0, at)), "@", quote(account.substr(at + 1)));
}

}  // namespace

void AfterPromotion::begin(conf::SemiSync mode) {
  mode_ = mode;
  forget_ = events_ = true;
  attempts_ = 0;
  due_ = boot_now();
}

void AfterPromotion::work(Session& session) {
  ++attempts_;
  auto done = forget_ ? forget(session) : std::expected<void, core::Failure>();
  if (done) forget_ = false;
  if (done && events_) done = enable_events(session);
  due_ = boot_now() + retry_interval;
  if (done) return;
  // What the account may not do will not work the next time either.
  const bool hopeless = done.error().kind == core::FailureKind::denied || attempts_ >= max_attempts;
  if (hopeless || attempts_ == 1) warn_(concat("after the promotion: ", done.error().text));
  if (hopeless) forget_ = events_ = false;
}

std::expected<void, core::Failure> AfterPromotion::forget(Session& session) {
  auto& dialect = session.dialect();
  if (!dialect.forgetting_is_slow()) return {};
  const auto replica = dialect.replica_status(session.connection(), boot_now() + statement_timeout);
  if (!replica) return std::unexpected(replica.error());
  if (!*replica) return {};
  return run(session.connection(), dialect.forget_replication(), boot_now() + statement_timeout);
}

// An event keeps its definer: without the clause the one who alters it becomes that, and it would run with
// our few rights.
std::expected<void, core::Failure> AfterPromotion::enable_events(Session& session) {
  const auto events = session.connection().query(
      "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS"
      " WHERE STATUS IN ('SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED')",
      boot_now() + statement_timeout);
  if (!events) return std::unexpected(events.error());
  if (!events->empty() && mode_ == conf::SemiSync::required) {
    const auto report = session.report(boot_now() + statement_timeout);
    if (!report) return std::unexpected(report.error());
    if (report->semi_sync.source_enabled && report->semi_sync.source_clients == 0)
      return {};  // later: see the class
  }
  for (std::size_t row = 0; row < events->rows(); ++row) {
    const auto done = run(session.connection(),
                          concat("ALTER DEFINER = ", quote_account(events->text(row, {"DEFINER"})), " EVENT ",
                                 quote_name(events->text(row, {"EVENT_SCHEMA"})), ".",
                                 quote_name(events->text(row, {"EVENT_NAME"})), " ENABLE"),
                          boot_now() + statement_timeout);
    if (!done) return done;
  }
  events_ = false;
  return {};
}

}  // namespace pointsman::mysql
