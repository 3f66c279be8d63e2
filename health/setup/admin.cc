#include "health/setup/admin.h"

#include <utility>

#include "health/mysql/boot_clock.h"

namespace pointsman::setup {

Admin::Admin(Endpoint endpoint, const mysql::Waker& cancel)
    : endpoint_(std::move(endpoint)),
      session_({endpoint_.address, endpoint_.account}, mysql::Session::Leftover::kill, cancel) {
  hide(endpoint_.account.password);
}

void Admin::hide(const std::string& secret) {
  if (!secret.empty()) secrets_.push_back(secret);
}

core::Failure Admin::hidden(core::Failure failure) const {
  constexpr std::string_view stars = "***";
  for (const std::string& secret : secrets_) {
    for (auto at = failure.text.find(secret); at != std::string::npos;
         at = failure.text.find(secret, at + stars.size())) {
      failure.text.replace(at, secret.size(), stars);
    }
  }
  failure.text = endpoint_.name + ": " + failure.text;
  return failure;
}

Outcome Admin::open() {
  auto opened = session_.open(mysql::boot_now() + connect_timeout);
  if (!opened) return std::unexpected(hidden(std::move(opened.error())));
  return {};
}

std::expected<mysql::ResultTable, core::Failure> Admin::ask(std::string_view sql, core::Duration timeout) {
  auto table = connection().query(sql, mysql::boot_now() + timeout);
  if (!table) return std::unexpected(hidden(std::move(table.error())));
  return table;
}

std::expected<std::string, core::Failure> Admin::value(std::string_view sql) {
  const auto table = ask(sql);
  if (!table) return std::unexpected(table.error());
  return std::string(table->at(0, 0).value_or(std::string_view()));
}

Outcome Admin::run(std::string_view sql, std::string_view shown, core::Duration timeout) {
  auto table = connection().query(sql, mysql::boot_now() + timeout, shown);
  if (!table) return std::unexpected(hidden(std::move(table.error())));
  return {};
}

Outcome Admin::run_all(const std::vector<std::string>& statements, core::Duration timeout) {
  for (const std::string& statement : statements) {
    if (auto done = run(statement, {}, timeout); !done) return done;
  }
  return {};
}

Outcome Admin::repeat_if_lost(const std::function<Outcome()>& steps) {
  const auto attempt = [&] {
    Outcome done = open();
    return done ? steps() : done;
  };
  Outcome done = attempt();
  if (!done && done.error().kind == core::FailureKind::lost) done = attempt();
  return done;
}

std::expected<core::ServerReport, core::Failure> Admin::report() {
  auto report = session_.report(mysql::boot_now() + statement_timeout);
  if (!report) return std::unexpected(hidden(std::move(report.error())));
  return report;
}

}  // namespace pointsman::setup
