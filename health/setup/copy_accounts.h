#pragma once

#include <expected>
#include <string>
#include <vector>

#include "health/setup/accounts.h"
#include "health/setup/admin.h"

namespace pointsman::setup {

// MariaDB: the accounts and roles of a server with all that they may do, as statements. mariadb-dump writes
// them too, but some of its releases refuse to be loaded by an account that they replace.
class AccountsCopy {
 public:
  static std::expected<AccountsCopy, core::Failure> read(Admin& server);

  // Makes the accounts of `recipient` these and drops all others, but leaves alone what is the same, and the
  // one that we are logged in with. Statements fail on privileges for what is not there, so the data come
  // first. Nothing may be logged in this session.
  Outcome apply(Admin& recipient) const;

 private:
  struct Entry {
    AccountName name;
    std::string create;  // "" for what every server has
    std::vector<std::string> grants;
    bool operator==(const Entry&) const = default;
  };
  const Entry* find(const AccountName& name) const;
  Outcome give_back_roles(Admin& recipient, const std::string& ours) const;

  std::vector<Entry> entries_;
};

}  // namespace pointsman::setup
