#include "health/mysql/after_promotion.h"

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/mysql/report_parts.h"

namespace pointsman::mysql {
namespace {

constexpr core::Duration forget_timeout = std::chrono::seconds(5);
constexpr core::Duration retry_interval = std::chrono::seconds(1);

}  // namespace

void AfterPromotion::begin() {
  pending_ = true;
  attempts_ = 0;
  due_ = boot_now();
}

void AfterPromotion::work(Session& session) {
  ++attempts_;
  const auto done = forget(session);
  due_ = boot_now() + retry_interval;
  pending_ = !done;
  if (done) return;
  // What the account may not do will not work the next time either.
  const bool hopeless = done.error().kind == core::FailureKind::denied || attempts_ >= max_attempts;
  if (hopeless || attempts_ == 1) warn_(concat("after the promotion: ", done.error().text));
  if (hopeless) pending_ = false;
}

std::expected<void, core::Failure> AfterPromotion::forget(Session& session) {
  auto& dialect = session.dialect();
  if (!dialect.forgetting_is_slow()) return {};
  const auto replica = dialect.replica_status(session.connection(), boot_now() + forget_timeout);
  if (!replica) return std::unexpected(replica.error());
  if (!*replica) return {};
  return run(session.connection(), dialect.forget_replication(), boot_now() + forget_timeout);
}

}  // namespace pointsman::mysql
