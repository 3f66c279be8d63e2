#include "health/setup/copy_accounts.h"

#include <algorithm>
#include <utility>

#include "health/mysql/concat.h"

namespace pointsman::setup {
namespace {

using mysql::concat;

constexpr std::string_view create_user = "CREATE USER ";

bool is_public(const AccountName& name) {
  return name.role && name.user == "PUBLIC";
}

// The server's own.
bool is_fixed(const AccountName& name) {
  return name.user == "mariadb.sys" || is_public(name);
}

// PUBLIC is a word of the language and no name.
std::string grantee(const AccountName& name) {
  return is_public(name) ? "PUBLIC" : name.quoted();
}

std::expected<std::string, core::Failure> create_statement(Admin& server, const AccountName& name) {
  if (is_fixed(name)) return "";
  if (name.role) return "CREATE OR REPLACE ROLE " + name.quoted();
  auto shown = server.value("SHOW CREATE USER " + name.quoted());
  if (!shown) return std::unexpected(shown.error());
  return "CREATE OR REPLACE USER " +
         (shown->starts_with(create_user) ? shown->substr(create_user.size()) : *shown);
}

}  // namespace

std::expected<AccountsCopy, core::Failure> AccountsCopy::read(Admin& server) {
  AccountsCopy copy;
  const auto names = read_account_names(server);
  if (!names) return std::unexpected(names.error());
  for (const AccountName& name : *names) {
    auto create = create_statement(server, name);
    if (!create) return std::unexpected(create.error());
    const auto grants = server.ask("SHOW GRANTS FOR " + grantee(name));
    if (!grants) return std::unexpected(grants.error());
    Entry entry{name, std::move(*create), {}};
    for (std::size_t row = 0; row < grants->rows(); ++row) {
      entry.grants.emplace_back(grants->at(row, 0).value_or(""));
    }
    copy.entries_.push_back(std::move(entry));
  }
  return copy;
}

const AccountsCopy::Entry* AccountsCopy::find(const AccountName& name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  return found == entries_.end() ? nullptr : &*found;
}

Outcome AccountsCopy::apply(Admin& recipient) const {
  const auto here = read(recipient);
  if (!here) return std::unexpected(here.error());
  const auto ours = recipient.value("SELECT CURRENT_USER()");
  if (!ours) return std::unexpected(ours.error());
  const auto is_ours = [&](const AccountName& name) { return !name.role && name.plain() == *ours; };
  for (const Entry& entry : here->entries_) {
    if (is_fixed(entry.name) || is_ours(entry.name) || find(entry.name) != nullptr) continue;
    const auto done =
        recipient.run(concat("DROP ", entry.name.role ? "ROLE " : "USER ", entry.name.quoted()));
    if (!done) return done;
  }
  // Only who has made a role may grant it, so with roles everything is made anew.
  const bool roles = std::ranges::any_of(
      entries_, [](const Entry& entry) { return entry.name.role && !is_public(entry.name); });
  std::vector<const Entry*> differ;
  for (const Entry& entry : entries_) {
    const Entry* twin = here->find(entry.name);
    const bool same = !roles && twin != nullptr && *twin == entry;
    if (!is_ours(entry.name) && !same) differ.push_back(&entry);
  }
  // A password stands in the statements, if only as a hash.
  for (const Entry* entry : differ) {
    if (entry->create.empty()) continue;
    const auto done =
        recipient.run(entry->create, concat("CREATE OR REPLACE USER ", entry->name.quoted(), " ..."));
    if (!done) return done;
  }
  for (const Entry* entry : differ) {
    for (const std::string& grant : entry->grants) {
      const auto done = recipient.run(grant, concat("GRANT ... TO ", grantee(entry->name)));
      // Only root has that to give, and hardly anybody uses it.
      const bool is_proxy = grant.starts_with("GRANT PROXY ") && recipient.is_open();
      if (!done && !is_proxy) return done;
    }
  }
  return give_back_roles(recipient, *ours);
}

// Who makes a role gets it, with the right to pass it on.
Outcome AccountsCopy::give_back_roles(Admin& recipient, const std::string& ours) const {
  const AccountName me = AccountName::parse(ours);
  const auto now = recipient.ask("SHOW GRANTS FOR " + me.quoted());
  if (!now) return std::unexpected(now.error());
  const Entry* mine = find(me);
  for (std::size_t row = 0; row < now->rows(); ++row) {
    const std::string grant(now->at(row, 0).value_or(""));
    const bool is_role = grant.starts_with("GRANT `") && grant.find(" ON ") == std::string::npos;
    if (!is_role || (mine != nullptr && std::ranges::find(mine->grants, grant) != mine->grants.end()))
      continue;
    const auto end = grant.find("` TO ");
    if (end == std::string::npos) continue;
    const auto done = recipient.run(concat("REVOKE ", grant.substr(6, end - 5), " FROM ", me.quoted()));
    if (!done) return done;
  }
  return {};
}

}  // namespace pointsman::setup
