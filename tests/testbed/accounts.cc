#include "tests/testbed/accounts.h"

namespace pointsman::testbed {

namespace {

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::string account(const Login& login) {
  return quote(login.user) + "@'%'";
}

}  // namespace

const std::vector<std::string_view>& monitor_privileges(Product product) {
  static const std::vector<std::string_view> mariadb{"SUPER", "RELOAD", "PROCESS"};
  static const std::vector<std::string_view> mysql{"SUPER", "RELOAD", "PROCESS"};
  return product == Product::mariadb ? mariadb : mysql;
}

const std::vector<std::string_view>& replication_privileges(Product) {
  static const std::vector<std::string_view> both{"REPLICATION SLAVE"};
  return both;
}

std::vector<std::string> account_statements(Product product, const Accounts& accounts) {
  std::vector<std::string> statements;
  const auto create = [&statements](const Login& login) {
    statements.push_back("CREATE USER " + account(login) + " IDENTIFIED BY " + quote(login.password));
  };
  create(accounts.monitor);
  statements.push_back("GRANT " + join(monitor_privileges(product)) + " ON *.* TO " +
                       account(accounts.monitor));
  create(accounts.replication);
  statements.push_back("GRANT " + join(replication_privileges(product)) + " ON *.* TO " +
                       account(accounts.replication));
  statements.push_back("CREATE DATABASE " + accounts.database);
  create(accounts.application);
  statements.push_back("GRANT ALL ON " + accounts.database + ".* TO " + account(accounts.application));
  return statements;
}

}  // namespace pointsman::testbed
