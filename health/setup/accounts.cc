#include "health/setup/accounts.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"

namespace pointsman::setup {
namespace {

using mysql::concat;
using mysql::quote;

constexpr unsigned has_any_definer = 80200;
constexpr unsigned has_clone = 80017;
constexpr unsigned has_system_user = 80016;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// "A", "B" of "GRANT A, B ON place TO ..." when `place` is the one asked for. MySQL writes its dynamic
// privileges without the space.
void collect(std::string_view grant, std::string_view place, std::set<std::string>& into) {
  constexpr std::string_view begin = "GRANT ";
  const auto on = grant.find(concat(" ON ", place, " TO "));
  if (!grant.starts_with(begin) || on == std::string_view::npos) return;
  auto list = grant.substr(begin.size(), on - begin.size());
  while (!list.empty()) {
    const auto end = std::min(list.find(','), list.size());
    into.emplace(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    list.remove_prefix(std::min(list.find_first_not_of(' '), list.size()));
  }
}

std::vector<std::string> lacking(const std::set<std::string>& has, const std::vector<std::string>& wanted) {
  std::vector<std::string> list;
  if (has.contains("ALL PRIVILEGES")) return list;
  std::ranges::copy_if(wanted, std::back_inserter(list),
                       [&](const auto& word) { return !has.contains(word); });
  return list;
}

std::expected<std::vector<std::string>, core::Failure> read_grants(Admin& admin, const AccountName& account) {
  const auto table = admin.ask("SHOW GRANTS FOR " + account.quoted());
  if (!table) return std::unexpected(table.error());
  std::vector<std::string> grants;
  grants.reserve(table->rows());
  for (std::size_t row = 0; row < table->rows(); ++row) grants.emplace_back(table->at(row, 0).value_or(""));
  return grants;
}

}  // namespace

AccountName AccountName::parse(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return {.user = std::string(text), .host = "", .role = true};
  return {.user = std::string(text.substr(0, at)), .host = std::string(text.substr(at + 1))};
}

std::string AccountName::quoted() const {
  return role ? quote(user) : concat(quote(user), "@", quote(host));
}

std::expected<std::vector<AccountName>, core::Failure> read_account_names(Admin& admin) {
  const bool mariadb = admin.flavour() == core::Flavour::mariadb;
  const auto table = admin.ask(mariadb ? "SELECT User, Host, is_role = 'Y' AS role FROM mysql.user"
                                       : "SELECT User, Host, 0 AS role FROM mysql.user");
  if (!table) return std::unexpected(table.error());
  std::vector<AccountName> names;
  names.reserve(table->rows());
  for (std::size_t row = 0; row < table->rows(); ++row) {
    names.push_back({table->text(row, {"User"}), table->text(row, {"Host"}), table->flag(row, {"role"})});
  }
  return names;
}

bool can_clone(unsigned version) {
  return version >= has_clone;
}

Privileges monitor_privileges(core::Flavour flavour, unsigned version) {
  const Privileges::Narrow on_table_stats{"`mysql`.`innodb_table_stats`", {"SELECT", "INSERT", "DELETE"}};
  if (flavour == core::Flavour::mariadb) {
    return {.global = {"SLAVE MONITOR", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN",
                       "READ_ONLY ADMIN", "CONNECTION ADMIN", "PROCESS", "RELOAD", "EVENT", "SET USER",
                       "BINLOG MONITOR", "BINLOG REPLAY"},
            .narrow = {on_table_stats}};
  }
  Privileges wanted{.global = {"REPLICATION CLIENT", "REPLICATION_SLAVE_ADMIN", "SYSTEM_VARIABLES_ADMIN",
                               "CONNECTION_ADMIN", "PROCESS", "RELOAD", "EVENT", "BINLOG_ADMIN",
                               version >= has_any_definer ? "SET_ANY_DEFINER" : "SET_USER_ID"},
                    .narrow = {on_table_stats, {"`performance_schema`.*", {"SELECT"}}}};
  if (version >= has_system_user) wanted.global.emplace_back("SYSTEM_USER");
  if (can_clone(version)) wanted.global.emplace_back("CLONE_ADMIN");
  return wanted;
}

Privileges replication_privileges(core::Flavour flavour) {
  if (flavour == core::Flavour::mariadb) return {.global = {"REPLICATION SLAVE"}, .narrow = {}};
  return {.global = {"REPLICATION SLAVE", "BACKUP_ADMIN"}, .narrow = {}};
}

Privileges missing_privileges(const std::vector<std::string>& grants, const Privileges& wanted) {
  std::set<std::string> global;
  for (const auto& grant : grants) collect(grant, "*.*", global);
  // MariaDB prints it with a space.
  if (global.contains("READ ONLY ADMIN")) global.insert("READ_ONLY ADMIN");
  Privileges missing{lacking(global, wanted.global), {}};
  for (const auto& [place, list] : wanted.narrow) {
    std::set<std::string> has = global;
    for (const auto& grant : grants) {
      collect(grant, place, has);
      collect(grant, place.substr(0, place.find('.')) + ".*", has);
    }
    if (auto lacks = lacking(has, list); !lacks.empty()) missing.narrow.push_back({place, std::move(lacks)});
  }
  return missing;
}

std::expected<std::vector<AccountPlan>, core::Failure> plan_account(Admin& admin,
                                                                    const conf::Account& account,
                                                                    const Privileges& wanted,
                                                                    const std::string& host) {
  const auto names = read_account_names(admin);
  if (!names) return std::unexpected(names.error());
  std::vector<AccountPlan> plans;
  for (const auto& name : *names) {
    if (name.user == account.user && !name.role)
      plans.push_back({.account = name, .exists = true, .missing = {}, .statements = {}});
  }
  if (plans.empty())
    plans.push_back({.account = {account.user, host}, .exists = false, .missing = {}, .statements = {}});
  for (AccountPlan& plan : plans) {
    const std::string name = plan.account.quoted();
    Privileges missing = wanted;
    if (plan.exists) {
      const auto grants = read_grants(admin, plan.account);
      if (!grants) return std::unexpected(grants.error());
      missing = missing_privileges(*grants, wanted);
    } else {
      const std::string create = concat("CREATE USER IF NOT EXISTS ", name, " IDENTIFIED BY ");
      plan.statements.push_back({create + quote(account.password), create + "'***'"});
    }
    const auto grant = [&](const std::vector<std::string>& list, std::string_view place) {
      if (list.empty()) return;
      const std::string sql = concat("GRANT ", joined(list), " ON ", place, " TO ", name);
      plan.statements.push_back({sql, sql});
      for (const auto& privilege : list) plan.missing.push_back(concat(privilege, " ON ", place));
    };
    // Before the global ones: with those a daemon acts, and then a commit may wait for a replica.
    for (const auto& [place, list] : missing.narrow) grant(list, place);
    grant(missing.global, "*.*");
  }
  return plans;
}

}  // namespace pointsman::setup
