#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/dialect.h"
#include "health/mysql/session.h"

namespace pointsman::setup {

using Outcome = std::expected<void, core::Failure>;

// Where a server is and as whom we command it. `address` may be a Unix socket (its host is an absolute path).
struct Endpoint {
  std::string name;  // as in the configuration; for words
  conf::HostPort address;
  conf::Account account;
};

// One connection to one server as somebody who may change it. Every statement has a deadline; no failure's
// text contains a password that it was told of. One thread.
class Admin {
 public:
  // `cancel` outlives this; while it is rung every call fails at once.
  Admin(Endpoint endpoint, const mysql::Waker& cancel);

  Outcome open();
  bool is_open() const { return session_.is_open(); }
  void close() { session_.close(); }

  std::expected<mysql::ResultTable, core::Failure> ask(std::string_view sql,
                                                       core::Duration timeout = statement_timeout);
  // The first value of the first row, "" for none and for NULL.
  std::expected<std::string, core::Failure> value(std::string_view sql);
  // A statement whose answer is of no interest. `shown` stands for it in failures when it has secrets.
  Outcome run(std::string_view sql, std::string_view shown = {}, core::Duration timeout = statement_timeout);
  Outcome run(const mysql::Statement& statement) { return run(statement.sql, statement.shown); }
  // Several, until one fails.
  Outcome run_all(const std::vector<std::string>& statements, core::Duration timeout = statement_timeout);

  // Steps that may as well be done twice, with the connection open. When it is lost they are done once more,
  // on a new one: an agent that hears of a mysqld that was just started ends the connections of all clients.
  Outcome repeat_if_lost(const std::function<Outcome()>& steps);

  std::expected<core::ServerReport, core::Failure> report();

  // Servers quote statements in their errors: this text is replaced wherever it would be shown.
  void hide(const std::string& secret);
  core::Failure hidden(core::Failure failure) const;

  const Endpoint& endpoint() const { return endpoint_; }
  const std::string& name() const { return endpoint_.name; }
  core::Flavour flavour() { return session_.dialect().flavour(); }
  unsigned version() { return mysql::version_number(connection().server_version()); }
  mysql::Session& session() { return session_; }
  mysql::Connection& connection() { return session_.connection(); }

  static constexpr core::Duration connect_timeout = std::chrono::seconds(10);
  static constexpr core::Duration statement_timeout = std::chrono::seconds(30);

 private:
  const Endpoint endpoint_;
  mysql::Session session_;
  std::vector<std::string> secrets_;
};

}  // namespace pointsman::setup
