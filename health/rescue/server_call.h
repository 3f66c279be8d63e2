#pragma once

#include <algorithm>
#include <expected>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "health/core/server_report.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/report_parts.h"
#include "health/mysql/session.h"
#include "health/mysql/waker.h"
#include "health/rescue/rescue.h"

namespace pointsman::rescue {

// The connection of one blocking call of this library, with the call's deadline and its stop token.
class ServerCall {
 public:
  explicit ServerCall(const Order& order) : ServerCall(order, order.account) {}
  ServerCall(const Order& order, const conf::Account& account)
      : ServerCall({order.address, account}, mysql::boot_now() + order.limits.time, order.stop) {}
  ServerCall(mysql::Connection::Options options, core::Instant deadline, const std::stop_token& stop)
      : deadline_(deadline),
        ring_(stop, [this] { waker_.ring(); }),
        session_(std::move(options), mysql::Session::Leftover::kill_and_wait, waker_) {}

  std::expected<void, core::Failure> open() { return session_.open(soon()); }
  std::expected<core::ServerReport, core::Failure> report() { return session_.report(soon()); }
  // A statement that the server answers at once.
  std::expected<mysql::ResultTable, core::Failure> query(std::string_view sql) {
    return session_.connection().query(sql, soon());
  }
  std::expected<void, core::Failure> run(std::string_view sql) {
    return mysql::run(session_.connection(), sql, soon());
  }
  // One that may take as long as the call may.
  std::expected<void, core::Failure> run_long(std::string_view sql, std::string_view shown) {
    return mysql::run(session_.connection(), sql, deadline_, shown);
  }

  mysql::Session& session() { return session_; }
  core::Instant deadline() const { return deadline_; }
  core::Instant soon() const { return std::min(deadline_, mysql::boot_now() + statement_timeout); }

  static constexpr core::Duration statement_timeout = std::chrono::seconds(15);

 private:
  core::Instant deadline_;
  mysql::Waker waker_;
  std::stop_callback<std::function<void()>> ring_;
  mysql::Session session_;
};

}  // namespace pointsman::rescue
