#include "health/setup/copy_events.h"

#include <string>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/setup/accounts.h"

namespace pointsman::setup {
namespace {

constexpr unsigned has_replica_word = 80200;  // MySQL

}  // namespace

Outcome disable_events(Admin& admin) {
  using mysql::quote_name;
  const auto events = admin.ask(
      "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"
      " AND EVENT_SCHEMA NOT IN ('mysql', 'sys')");
  if (!events) return std::unexpected(events.error());
  if (events->empty()) return {};
  const bool oracle = admin.flavour() == core::Flavour::mysql;
  const bool renamed = oracle && admin.version() >= has_replica_word;
  Outcome done = admin.run("SET SESSION sql_log_bin = 0");
  if (done && oracle) done = admin.run_all({"SET GLOBAL read_only = ON", "SET GLOBAL super_read_only = OFF"});
  for (std::size_t row = 0; done && row < events->rows(); ++row) {
    // Without the clause whoever alters an event becomes its definer.
    const auto definer = AccountName::parse(events->text(row, {"DEFINER"}));
    done = admin.run(mysql::concat("ALTER DEFINER = ", definer.quoted(), " EVENT ",
                                   quote_name(events->text(row, {"EVENT_SCHEMA"})), ".",
                                   quote_name(events->text(row, {"EVENT_NAME"})),
                                   renamed ? " DISABLE ON REPLICA" : " DISABLE ON SLAVE"));
  }
  if (done && oracle) done = admin.run("SET GLOBAL super_read_only = ON");
  return done;
}

}  // namespace pointsman::setup
