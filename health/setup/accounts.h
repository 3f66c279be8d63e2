#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "health/core/gtid_set.h"
#include "health/mysql/dialect.h"
#include "health/setup/admin.h"

namespace pointsman::setup {

struct AccountName {
  std::string user;
  std::string host;  // "" for a role
  bool role = false;

  // "user@host", as servers print definers; the host has no @.
  static AccountName parse(std::string_view text);
  std::string plain() const { return user + "@" + host; }
  std::string quoted() const;  // 'user'@'host'
  bool operator==(const AccountName&) const = default;
};

// All accounts of a server; roles as well on MariaDB.
std::expected<std::vector<AccountName>, core::Failure> read_account_names(Admin& admin);

// What one of our accounts must be allowed to do.
struct Privileges {
  struct Narrow {
    std::string place;  // a schema or a table, as SHOW GRANTS writes it
    std::vector<std::string> list;
  };

  std::vector<std::string> global;
  std::vector<Narrow> narrow;
};

// MySQL has had the clone plugin since 8.0.17.
bool can_clone(unsigned version);

// The account that probes and commands. README.md of this folder says what each is for.
Privileges monitor_privileges(core::Flavour flavour, unsigned version);
// The account that replicas connect with, and that a copy is fetched with on MySQL.
Privileges replication_privileges(core::Flavour flavour);

// What is missing of one account.
struct AccountPlan {
  AccountName account;
  bool exists = false;
  std::vector<std::string> missing;          // privileges, for words; all of them when it does not exist
  std::vector<mysql::Statement> statements;  // none: it is as it should be
};

// Looks, changes nothing. An account of that user name that exists is completed whatever its host is;
// otherwise one of `host` is made. All of them when there are several.
std::expected<std::vector<AccountPlan>, core::Failure> plan_account(Admin& admin,
                                                                    const conf::Account& account,
                                                                    const Privileges& wanted,
                                                                    const std::string& host);

// What of `wanted` the lines of SHOW GRANTS do not give.
Privileges missing_privileges(const std::vector<std::string>& grants, const Privileges& wanted);

}  // namespace pointsman::setup
